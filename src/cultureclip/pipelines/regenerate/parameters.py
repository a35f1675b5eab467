"""Parameters of regenerating an image."""

from pydantic import Field

from cultureclip.settings_base import Settings


class RegenerateParameters(Settings):
    """Which image is made again.

    Attributes:
        image_id: Its id; None until ``--params image_id=...`` gives one.
    """

    image_id: str | None = Field(default=None, pattern=r"^[0-9a-f]+$")
