"""Claims: what voices state in dialogues, cut into sentences, verified against the facts, each said once."""
