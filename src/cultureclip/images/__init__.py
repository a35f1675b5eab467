"""Images: which are wanted, how they are generated, where they lie."""
