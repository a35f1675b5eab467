"""Parameters of the pocket pipeline."""

from cultureclip.pocket.settings import PocketSettings


class PocketParameters(PocketSettings):
    """Everything that defines the shipped weights; see ``parameters_pocket.yml``."""
