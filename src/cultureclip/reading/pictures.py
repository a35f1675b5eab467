"""Pictures from outside, decoded: whole, of a sane size, upright, 8-bit RGB on white.

All readers of pictures use this module, so there is one list of formats and one rule per kind of pixels. Of an
animation and of a file with several pages the first picture is read. Colour profiles are not applied.

=========================  ==========================================================================================
mode (Pillow's name)       what it becomes
=========================  ==========================================================================================
RGB                        itself; of 16 bits per sample (PNG, TIFF) the upper eight
1, L                       grey: red = green = blue
I;16 (also 16B, 16L, 16N)  grey of the upper eight bits; of 12-bit TIFF the upper eight of the twelve
P, PA                      the colours of its palette
YCbCr                      RGB as JFIF defines it
CMYK                       (255 - ink) (255 - black) / 255 per channel; JPEGs as Adobe writes them: of 255 - ink
LA, RGBA, RGBa, RGBX       composed on white by their alpha channel; RGBX has none
tRNS (a transparent key)   every pixel of the key's colour is white: in 1, L, I;16, RGB and P alike
F, I, LAB, HSV, La         refused by name: black and white are not defined, or no supported format needs the mode
=========================  ==========================================================================================
"""

import errno
import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, ImagePalette, UnidentifiedImageError, features

from cultureclip.reading.text import RefusedError, check_file

RULES = 2
"""Part of the keys of cached pictures: increase it when the decoding of the same file changes."""
MAX_PIXELS = 50_000_000
MAX_BYTES = 8 * MAX_PIXELS
"""Largest file: the pixels above, uncompressed, four samples of 16 bits each."""

_SUFFIXES = {
    "PNG": ("png", "apng"),
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "mpo"),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp", "dib"),
    "TIFF": ("tif", "tiff"),
    "AVIF": ("avif",),
    "JPEG2000": ("jp2", "j2k", "jpf", "jpx"),
}
_NEEDS = {"WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
"""Libraries that a build of Pillow may lack."""
FORMATS = tuple(name for name in _SUFFIXES if name not in _NEEDS or features.check(_NEEDS[name]))
"""Formats that are read. Pillow knows more, among them formats that call other programs."""
SUFFIXES = frozenset(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes)
"""Endings of picture files. The first bytes of a file decide its format, whatever its name."""

_BEGINNINGS = {
    "PNG": rb"\x89PNG",
    "JPEG": rb"\xff\xd8\xff",
    "WEBP": rb"RIFF.{4}WEBP",
    "GIF": rb"GIF8[79]a",
    "BMP": rb"BM",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "AVIF": rb".{4}ftypavi[fs]",
    "JPEG2000": rb"\0{3}\x0cjP  |\xff\x4f\xff\x51",
    "HEIC": rb".{4}ftyp(hei|hev|mif1|msf1)",
    "JPEG XL": rb"\xff\x0a|\0{3}\x0cJXL ",
    "SVG": rb"\s*(<\?xml.{0,200}?\?>\s*)?(<!--.{0,400}?-->\s*)?(<!DOCTYPE svg|<svg)",
    "PSD": rb"8BPS",
    "ICO": rb"\0\0\x01\0",
    "PNM": rb"P[1-7]\s",
    "PDF": rb"%PDF",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "DDS": rb"DDS ",
}
"""First bytes of each format. Unsupported formats are named, so that nobody takes such a file for damaged."""

_GREY_DEPTHS = {"L;2": (3, 85), "L;4": (15, 17), "L": (255, 1)}
"""Pillow's name of a PNG's grey samples -> their largest value, and the step that it spreads them by."""
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, RuntimeError, struct.error)
"""All that Pillow's plugins raise about damaged files: of AVIF RuntimeError, of PNG SyntaxError, and so on."""
_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_CONVERTED = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
_BITS_PER_SAMPLE, _PHOTOMETRIC, _COLOUR_MAP, _WHITE_IS_ZERO = 258, 262, 320, 0
"""Tags of TIFF, and a value."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}


class ImageError(ValueError):
    """Reason why there is no picture. There are few messages, so they can be counted; the cause has the details."""


class Encoded(Protocol):
    """Location of an image file's bytes. Values are small and can be sent to another process."""

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            ImageError: if the bytes are missing or must not be read.
        """


NOT_A_PICTURE = "file is not a picture"
BROKEN = "picture is cut off or damaged"
TOO_LARGE = f"picture has more than {MAX_PIXELS:,} pixels"
METADATA = "picture's metadata is too large"
TOO_MANY_BYTES = f"picture is larger than {MAX_BYTES:,} bytes"
MISSING = "picture is missing"
UNREADABLE = "picture cannot be read from the disk"


def unread_format(name: str) -> str:
    """Return the reason for a picture of a format that is not read."""
    return f"picture is {name}, a format that is not read"


def unread_mode(mode: str) -> str:
    """Return the reason for a picture with an unsupported kind of pixels."""
    return f"picture has pixels of mode {mode}, which are not read"


def read_picture(path: Path) -> bytes:
    """Return the bytes of a picture's file; links are followed.

    Raises:
        ImageError: if there is no file, it is too large, or the disk cannot read it.
    """
    try:
        if check_file(path) <= MAX_BYTES:
            return path.read_bytes()
    except RefusedError as error:
        raise ImageError(f"picture is {error}") from error
    except ValueError as error:  # a null byte in the name
        raise ImageError(MISSING) from error
    except OSError as error:
        raise ImageError(MISSING if error.errno in _ABSENT else UNREADABLE) from error
    raise ImageError(TOO_MANY_BYTES) from ValueError(f"{path.stat().st_size:,} bytes")


def decode_image(data: bytes) -> Image.Image:
    """Decode a picture by the rules above, the way up that its camera noted (EXIF).

    Raises:
        ImageError: if it is cut off, too large to be unpacked, not a picture, or of a format or mode that is not read.
    """
    with _opened(data) as file:
        file.load()
        orientation, image = _orientation(file), to_rgb(file)
    image.info.clear()  # exif_transpose would write the other tags again, and fail where one is malformed
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)


def plain_format(data: bytes) -> str | None:
    """Return the format of a picture whose pixels are shown as its file has them; None if they are converted.

    Such a file is 8-bit RGB, upright, and nothing in it is transparent.

    Raises:
        ImageError: see :func:`decode_image`; the pixels themselves are not looked at.
    """
    with _opened(data) as file:
        is_plain = file.mode == "RGB" and not file.has_transparency_data and _orientation(file) == 1
        return file.format if is_plain else None


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any picture of Pillow's to 8-bit RGB by the rules above.

    Raises:
        ImageError: if its mode is refused.
    """
    _check_mode(image)
    if image.mode in _SIXTEEN_BITS:
        image = _to_eight_bits(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, "white")
    canvas.alpha_composite(rgba)
    return canvas.convert("RGB")


def _check_mode(image: Image.Image) -> None:
    if image.mode not in _CONVERTED | _SIXTEEN_BITS:
        raise ImageError(unread_mode(image.mode)) from ValueError("save it as 8-bit RGB or grey")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return L, or LA if a key is transparent. Pillow's own ``convert`` clips: all above 255 becomes white."""
    samples = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    upper = (samples >> (tags.get(_BITS_PER_SAMPLE, (16,))[0] - 8)).astype(np.uint8)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow inverts such samples of 8 bits, not of 16
        upper = 255 - upper
    grey, key = Image.fromarray(upper), image.info.get("transparency")
    if key is None:
        return grey
    return Image.merge("LA", (grey, Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8))))


def _scale_key(file: ImageFile.ImageFile) -> None:
    """Give a PNG's transparent key the depth of the pixels: Pillow leaves it in the depth of the file."""
    key, stored = file.info.get("transparency"), file.tile[0].args if file.tile else None
    if file.format == "PNG" and isinstance(key, int) and stored in _GREY_DEPTHS:
        largest, step = _GREY_DEPTHS[stored]
        file.info["transparency"] = (key & largest) * step
    elif file.format == "PNG" and isinstance(key, tuple):
        file.info["transparency"] = tuple(part >> 8 if stored == "RGB;16B" else part & 255 for part in key)


def _scale_palette(file: ImageFile.ImageFile) -> None:
    """Take a TIFF's palette as 8-bit if no colour in it exceeds 255, as libtiff does; Pillow makes it all black."""
    stored = getattr(file, "tag_v2", {}).get(_COLOUR_MAP)
    if file.mode == "P" and stored and max(stored) <= 255:
        file.palette = ImagePalette.raw("RGB;L", bytes(stored))


def _orientation(image: Image.Image) -> int:
    """Turn a picture as EXIF says; damaged EXIF of a whole picture is not an error."""
    try:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, TypeError, struct.error):
        return 1
    return orientation


@contextmanager
def _opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(TOO_LARGE) from ValueError(f"{image.width} x {image.height}")
            _scale_key(image)
            _scale_palette(image)
            yield image
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(TOO_LARGE) from error
    except UnidentifiedImageError as error:
        raise ImageError(_why_unidentified(data)) from error
    except _DECODER_ERRORS as error:
        raise ImageError(METADATA if "MAX_TEXT" in str(error) else BROKEN) from error


def _why_unidentified(data: bytes) -> str:
    found = (name for name, pattern in _BEGINNINGS.items() if re.match(pattern, data[:1024], re.DOTALL))
    name = next(found, None)
    if name is None:
        return NOT_A_PICTURE
    return BROKEN if name in FORMATS else unread_format(name)
