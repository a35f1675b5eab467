"""Image files of unknown origin, decoded: whole, of a sane size, RGB on white."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image

MAX_PIXELS = 50_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""What is opened; Pillow knows more, among them formats that call other programs."""


class ImageError(ValueError):
    """Why there is no picture. There are few messages, so that they can be counted; the cause has the details."""


BROKEN = "picture is no whole image"
TOO_LARGE = f"picture has more than {MAX_PIXELS:,} pixels"


def decode_image(source: str | BinaryIO) -> Image.Image:
    """A picture as RGB; what is transparent becomes white.

    Raises:
        ImageError: it is truncated, no image at all, or too large to be unpacked.
    """
    with _opened(source) as image:
        if image.mode == "RGB":
            image.load()
            return image.copy()
        rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    return canvas.convert("RGB")


def check_image(source: BinaryIO) -> tuple[int, int]:
    """Make sure that a picture can be decoded, and give its width and height.

    A JPEG is decoded at an eighth of its size: that reads every byte of it at a third of the cost.

    Raises:
        ImageError: it cannot.
    """
    with _opened(source) as image:
        size = image.size
        image.draft("RGB", (1, 1))
        image.load()
    return size


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
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageError(BROKEN) from error
