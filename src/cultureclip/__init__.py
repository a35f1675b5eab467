"""CultureCLIP: teach CLIP to tell look-alikes of different cultures apart."""

__version__ = "0.1.0"
