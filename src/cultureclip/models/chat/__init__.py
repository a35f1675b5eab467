"""One interface to chat models that read text and pictures: in this process, or behind OpenAI-compatible servers."""
