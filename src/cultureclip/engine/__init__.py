"""Running work over shards, and keeping what it made."""
