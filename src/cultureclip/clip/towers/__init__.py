"""open_clip's towers, run only on what an embedding depends on."""
