"""Pictures as cameras write them: EXIF says which way is up."""

import io

import numpy as np
import pytest
from PIL import Image

from cultureclip.engine.decode import check_image, decode_image

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


def write(pixels: np.ndarray, form: str, orientation: int, mode: str = "RGB") -> io.BytesIO:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).convert(mode).save(file, form, exif=exif, lossless=True)
    file.seek(0)
    return file


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_gives_the_upright_picture_and_its_size(form: str, orientation: int) -> None:
    file = write(STORED[orientation](UPRIGHT), form, orientation)
    np.testing.assert_array_equal(np.asarray(decode_image(file)), UPRIGHT)
    file.seek(0)
    assert check_image(file) == (3, 2)


def test_a_photograph_and_a_transparent_picture_are_turned_too() -> None:
    photograph = write(np.full((16, 32, 3), 90, np.uint8), "JPEG", 6)
    assert decode_image(photograph).size == (16, 32)
    photograph.seek(0)
    assert check_image(photograph) == (16, 32)
    drawing = write(STORED[8](UPRIGHT), "PNG", 8, "RGBA")
    np.testing.assert_array_equal(np.asarray(decode_image(drawing)), UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    np.testing.assert_array_equal(np.asarray(decode_image(write(UPRIGHT, "PNG", orientation))), UPRIGHT)


def test_damaged_exif_in_a_whole_picture_is_no_fault() -> None:
    content = write(np.full((16, 32, 3), 90, np.uint8), "JPEG", 6).getvalue()
    place = content.index(b"Exif\0\0") + 6
    for garbled in (b"XX", b"\xff\xff"):
        file = io.BytesIO(content[:place] + garbled + content[place + 2 :])
        assert decode_image(file).size == (32, 16)
        file.seek(0)
        assert check_image(file) == (32, 16)
