"""Cultural attribution: which known thing an image shows, and how strongly that thing belongs to each culture."""
