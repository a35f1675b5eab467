"""Text-to-image models: families, memory, pipelines and sampling."""
