"""Loading models from local files."""
