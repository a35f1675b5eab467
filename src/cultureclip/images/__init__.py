"""Images: the requests, the generation and the store."""
