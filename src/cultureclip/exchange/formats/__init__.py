"""Forms in which pairs of twins are published, one file each."""
