"""Pictures from outside: upright, or refused with the reason. Kinds of pixels are in test_pixel_modes.py."""

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultureclip.reading.pictures import (
    BROKEN,
    FORMATS,
    MAX_BYTES,
    METADATA,
    NOT_A_PICTURE,
    TOO_LARGE,
    ImageError,
    decode_image,
    read_picture,
    unread_format,
)
from tests.support.picture_files import png

UPRIGHT = np.array([[[200, 0, 0], [0, 200, 0], [0, 0, 200]], [[0, 0, 0], [90, 90, 90], [255, 255, 255]]], np.uint8)
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: np.rot90,  # it is turned by 90 degrees clockwise to be seen
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def write(pixels: np.ndarray, form: str, orientation: int, mode: str = "RGB") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    options = {"quality": 100, "subsampling": "4:4:4"} if form == "AVIF" else {"lossless": True}
    Image.fromarray(np.ascontiguousarray(pixels)).convert(mode).save(file, form, exif=exif, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_upright_picture(form: str, orientation: int) -> None:
    file = write(STORED[orientation](UPRIGHT), form, orientation)
    np.testing.assert_array_equal(np.asarray(decode_image(file)), UPRIGHT)


@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_of_avif_which_is_never_exact(orientation: int) -> None:
    file = write(STORED[orientation](UPRIGHT), "AVIF", orientation)
    assert np.abs(np.asarray(decode_image(file)).astype(int) - UPRIGHT).max() <= 2


def test_a_photograph_and_a_transparent_picture_are_turned_too() -> None:
    photograph = write(np.full((16, 32, 3), 90, np.uint8), "JPEG", 6)
    assert decode_image(photograph).size == (16, 32)
    drawing = write(STORED[8](UPRIGHT), "PNG", 8, "RGBA")
    np.testing.assert_array_equal(np.asarray(decode_image(drawing)), UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    np.testing.assert_array_equal(np.asarray(decode_image(write(UPRIGHT, "PNG", orientation))), UPRIGHT)


def test_damaged_exif_in_a_whole_picture_is_no_fault() -> None:
    content = write(np.full((16, 32, 3), 90, np.uint8), "JPEG", 6)
    place = content.index(b"Exif\0\0") + 6
    for garbled in (b"XX", b"\xff\xff"):
        file = content[:place] + garbled + content[place + 2 :]
        assert decode_image(file).size == (32, 16)


def test_another_tag_that_cannot_be_written_again_turns_no_picture_back() -> None:
    """Pillow's exif_transpose writes all tags anew, and fails on an own value of a wrong kind (python-pillow #8965)."""
    tags = struct.pack(">HHHLHH", 2, 0x0112, 3, 1, 6, 0) + struct.pack(">HHLL", 0x011A, 10, 1, 38) + bytes(4)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + tags + struct.pack(">ll", -1, 0)
    file = io.BytesIO()
    Image.fromarray(np.full((16, 32, 3), 90, np.uint8)).save(file, "JPEG", exif=exif)
    assert decode_image(file.getvalue()).size == (16, 32)


def saved(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint16).astype(np.uint8).reshape(30, 40, 3)).save(
        file, form, **options
    )
    return file.getvalue()


TEXT = (b"zTXt", b"comment\0\0" + zlib.compress(bytes(2 << 20)))
BOMB = png(30_000, 30_000, 8, 2, bytes(30_000))
ANIMATED = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), "red")]}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", NOT_A_PICTURE),
        (b"no image", NOT_A_PICTURE),
        (bytes(5000), NOT_A_PICTURE),
        *((saved(form)[: len(saved(form)) * 2 // 3], BROKEN) for form in FORMATS),
        *((saved(form)[:14], BROKEN) for form in FORMATS),
        (png(2, 2, 8, 0, bytes(4), TEXT), METADATA),
        (png(2, 2, 8, 0, bytes(4), (b"iCCP", TEXT[1])), METADATA),
        (BOMB, TOO_LARGE),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", unread_format("HEIC")),
        (b"\xff\x0a" + bytes(40), unread_format("JPEG XL")),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', unread_format("SVG")),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", unread_format("EPS")),
        (saved("PPM"), unread_format("PNM")),
        (saved("ICO"), unread_format("ICO")),
        (saved("DDS"), unread_format("DDS")),
        (saved("PDF"), unread_format("PDF")),
    ],
)
def test_each_cause_has_one_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError) as raised:
        decode_image(data)
    assert str(raised.value) == reason
    assert raised.value.__cause__ is not None


def test_every_format_is_read_and_of_an_animation_the_first_picture() -> None:
    expected = np.asarray(Image.open(io.BytesIO(saved("PNG"))))
    lossless = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}, "JPEG2000": {}}
    for form, options in lossless.items():
        np.testing.assert_array_equal(np.asarray(decode_image(saved(form, **options))), expected)
    for data in (saved("PNG", **ANIMATED), saved("WEBP", lossless=True, **ANIMATED), saved("TIFF", **ANIMATED)):
        np.testing.assert_array_equal(np.asarray(decode_image(data)), expected)
    for data in (saved("GIF", **ANIMATED), saved("AVIF", **ANIMATED), saved("MPO", **ANIMATED), saved("JPEG")):
        assert np.abs(np.asarray(decode_image(data)).astype(int) - expected).mean() < 50


@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_are_a_picture_or_a_reason() -> None:
    """A naive fuzzer: whatever is changed, cut or left out, no error of another type comes."""
    rng = np.random.default_rng(0)
    whole = [saved(form) for form in FORMATS] + [write(UPRIGHT, "JPEG", 6), saved("GIF", **ANIMATED)]
    read = 0
    for number in range(600):
        data = bytearray(whole[number % len(whole)])
        for place in rng.integers(0, min(len(data), 10 ** rng.integers(1, 5)), rng.integers(1, 6)):
            data[place] = rng.choice([0, 1, 127, 128, 255])
        if number % 3 == 0:
            del data[rng.integers(len(data)) :]
        with suppress(ImageError):
            assert min(decode_image(bytes(data)).size) > 0
            read += 1
    assert 0 < read < 600


def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with (tmp_path / "huge.png").open("wb") as handle:
        handle.truncate(30_000_000_000)
    (tmp_path / "link.png").symlink_to(tmp_path / "huge.png")
    reasons = {
        "pipe": "picture is a named pipe, not a regular file",
        ".": "picture is a folder, not a regular file",
        "/dev/zero": "picture is a device, not a regular file",
        "gone.png": "picture is a symbolic link whose target is missing",
        "loop.png": "picture is a symbolic link whose target is missing",
        "none.png": "picture is missing",
        "x" * 300: "picture is missing",
        "\0": "picture is missing",
        "huge.png": f"picture is larger than {MAX_BYTES:,} bytes",
        "link.png": f"picture is larger than {MAX_BYTES:,} bytes",
    }
    for name, reason in reasons.items():
        with pytest.raises(ImageError) as raised:
            read_picture(tmp_path / name)
        assert str(raised.value) == reason
