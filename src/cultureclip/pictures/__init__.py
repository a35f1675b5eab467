"""Pictures that references name by a scheme: drawings that installed packages have."""
