"""Run work over shards, and keep the results."""
