"""LoRA on open_clip towers."""
