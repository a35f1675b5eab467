"""Review of pairs by people: the page that asks them, and how far they agree with each other and with the scores."""
