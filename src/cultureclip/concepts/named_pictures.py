"""Pictures that texts name: drawings of a scheme in a style, or files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from cultureclip.concepts.looks import open_image
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest
from cultureclip.pictures.registry import find_style
from cultureclip.reading.pictures import RULES, ImageError, read_picture


class NamedPictures:
    """Pictures by id, read at each access.

    Args:
        named: Id -> ``<style>:<what>``, or the path of an image file.
        size: Edge that drawings have, in pixels.
    """

    def __init__(self, named: Mapping[str, str], size: int) -> None:
        self._named, self._size = dict(named), size

    @property
    def ids(self) -> list[str]:
        """All ids."""
        return sorted(self._named)

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """Return the pictures with these ids, in this order.

        Raises:
            SourceDataError: if a file is refused by :func:`~cultureclip.concepts.looks.open_image`.
        """
        return [self._read(self._named[i]) for i in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        """Return the identity of the pictures with these ids: SHA-256 of the file, and rules or size of its drawing.

        Raises:
            SourceDataError: if a file is gone or cannot be read.
        """
        return [self._checksum(self._named[i]) for i in ids]

    def _checksum(self, picture: str) -> str:
        if drawn := find_style(picture):
            scheme, style, what = drawn
            return f"{bytes_digest(scheme.locate(what, style).read_bytes())} at {self._size}"
        try:
            return f"{bytes_digest(read_picture(Path(picture)))} decoded by rules {RULES}"
        except ImageError as error:
            raise SourceDataError(picture, f"cannot be read ({error})", "Put the file back") from error

    def _read(self, picture: str) -> Image.Image:
        if drawn := find_style(picture):
            scheme, style, what = drawn
            return Image.fromarray(scheme.draw(what, style, self._size))
        return open_image(picture)
