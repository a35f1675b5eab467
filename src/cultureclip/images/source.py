"""Pictures by id: the one interface between stores of pictures and their users."""

from collections.abc import Sequence
from typing import Protocol

from PIL import Image


class ImageSource(Protocol):
    """Pictures by id."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the pictures that are there."""
        ...

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """Return the pictures with these ids, in this order."""
        ...

    def checksums(self, ids: Sequence[str]) -> list[str]:
        """Return a text for each picture: equal only for equal pictures, and found without decoding any."""
        ...
