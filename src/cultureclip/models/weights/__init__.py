"""Files of weights: where they are, in which format, and whether they are whole."""
