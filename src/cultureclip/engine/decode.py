"""Image files of unknown origin, decoded: whole, of a sane size, RGB on white."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import ExifTags, Image

MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is opened; Pillow knows more, among them formats that call other programs."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> how the picture is set upright; from 5 on width and height change places."""


class ImageError(ValueError):
    """Why there is no picture. There are few messages, so that they can be counted; the cause has the details."""


BROKEN = "picture is no whole image"
TOO_LARGE = f"picture has more than {MAX_PIXELS:,} pixels"


def decode_image(source: str | BinaryIO) -> Image.Image:
    """A picture as RGB, the way up that its camera noted (EXIF); what is transparent becomes white.

    Raises:
        ImageError: it is truncated, no image at all, or too large to be unpacked.
    """
    with _opened(source) as file:
        file.load()
        turn = _TURNS.get(_orientation(file))
        image = file.copy() if turn is None else file.transpose(turn)
        if image.mode == "RGB":
            return image
        rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    return canvas.convert("RGB")


def check_image(source: BinaryIO) -> tuple[int, int]:
    """Make sure that a picture can be decoded, and give the width and height that :func:`decode_image` will.

    A JPEG is decoded at an eighth of its size: that reads every byte of it at a third of the cost.

    Raises:
        ImageError: it cannot.
    """
    with _opened(source) as image:
        size = image.size
        image.draft("RGB", (1, 1))
        image.load()
        lies = _orientation(image) >= 5
    return (size[1], size[0]) if lies else size


def _orientation(image: Image.Image) -> int:
    """As EXIF has it; of a picture that is whole, damaged EXIF is no fault."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, struct.error):
        return 1
    return orientation if orientation in _TURNS else 1


@contextmanager
def _opened(source: str | BinaryIO) -> Iterator[Image.Image]:
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(TOO_LARGE) from ValueError(f"{image.width} x {image.height}")
            yield image
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(TOO_LARGE) from error
    except (OSError, SyntaxError, ValueError, TypeError, EOFError) as error:
        raise ImageError(BROKEN) from error
