"""The report: a run as a folder of static pages, opened from disk; needs no server and no network."""
