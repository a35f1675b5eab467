"""The training loop, its processes, its resumable state and its log."""
