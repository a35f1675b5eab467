"""Checkpoints out of the project, and to and from the formats of Hugging Face and PEFT."""
