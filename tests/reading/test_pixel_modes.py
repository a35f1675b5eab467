"""Every kind of pixels against numpy on the samples that were written: converted by its rule or refused by name."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from cultureclip.reading.pictures import ImageError, decode_image, to_rgb, unread_mode
from tests.support.picture_files import png

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), np.uint8)
DEEP = np.concatenate([RNG.integers(0, 65536, (5, 8), np.uint16), [[0, 1, 255, 256, 257, 32768, 65534, 65535]]]).astype(
    np.uint16
)
DEEP_COLOUR = RNG.integers(0, 65536, (6, 8, 3), np.uint16)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(decode_image(data))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def spread(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return colour * share + 255 * (1 - share)


def tiff(samples: np.ndarray, bits: int, photometric: int, raw: bytes | None = None) -> bytes:
    """A TIFF of one grey channel, in the samples' own byte order."""
    order = ">" if samples.dtype.byteorder == ">" else "<"
    data = samples.tobytes() if raw is None else raw
    height, width = samples.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(data)))
    fields = [struct.pack(f"{order}HHI", tag, 4, 1) + struct.pack(f"{order}I", value) for tag, value in sorted(tags)]
    directory = struct.pack(f"{order}H", len(fields)) + b"".join(fields) + bytes(4)
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(f"{order}I", 8 + len(data)) + data + directory


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("key", [None, 1])
def test_grey_png_of_every_depth_with_and_without_a_transparent_key(bits: int, key: int | None) -> None:
    samples = RNG.integers(0, 2**bits, (4, 8), np.uint8)
    samples[0, :2] = 0, 1
    packed = np.packbits(np.unpackbits(samples[..., None], axis=2)[..., -bits:].reshape(4, -1), axis=1)
    extra = () if key is None else ((b"tRNS", struct.pack(">H", key)),)
    expected = samples * (255 // (2**bits - 1))
    if key is not None:
        expected = np.where(samples == key, 255, expected)
    np.testing.assert_array_equal(decoded(png(8, 4, bits, 0, packed.tobytes(), *extra)), spread(expected))


@pytest.mark.parametrize("key", [None, 257, 65535])
def test_16_bit_grey_keeps_its_upper_eight_bits(key: int | None) -> None:
    extra = () if key is None else ((b"tRNS", struct.pack(">H", key)),)
    expected = DEEP >> 8
    if key is not None:
        expected = np.where(key == DEEP, 255, expected)
    np.testing.assert_array_equal(decoded(png(8, 6, 16, 0, DEEP.astype(">u2").tobytes(), *extra)), spread(expected))


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_16_bit_grey_of_tiff_in_both_byte_orders_and_jpeg_2000(order: str) -> None:
    assert len(np.unique(decoded(tiff(DEEP.astype(order), 16, 1)))) > 20
    np.testing.assert_array_equal(decoded(tiff(DEEP.astype(order), 16, 1)), spread(DEEP >> 8))
    np.testing.assert_array_equal(decoded(saved(Image.fromarray(DEEP), "JPEG2000")), spread(DEEP >> 8))


def test_tiff_that_says_white_is_zero_is_no_negative_and_12_bits_are_not_dark() -> None:
    np.testing.assert_array_equal(decoded(tiff(DEEP, 16, 0)), spread((65535 - DEEP) >> 8))
    np.testing.assert_array_equal(decoded(tiff(GREY, 8, 0)), spread(255 - GREY))
    twelve = DEEP >> 4
    first, second = twelve[:, ::2].astype(int), twelve[:, 1::2].astype(int)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2).astype(np.uint8)
    np.testing.assert_array_equal(decoded(tiff(twelve, 12, 1, packed.tobytes())), spread(twelve >> 4))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour_becomes_white(bits: int) -> None:
    samples = (COLOUR if bits == 8 else DEEP_COLOUR).astype(f">u{bits // 8}")
    samples[2:4] = key = samples[0, 0]
    expected = np.where((samples == key).all(axis=2, keepdims=True), 255, samples if bits == 8 else samples >> 8)
    data = png(8, 6, bits, 2, samples.tobytes(), (b"tRNS", struct.pack(">3H", *key.astype(int))))
    np.testing.assert_array_equal(decoded(data), expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_is_composed_on_white(bits: int) -> None:
    most = 2**bits
    colour, alpha = (RNG.integers(0, most, (6, 8, n)) for n in (3, 1))
    upper = bits - 8
    for kind, samples in ((6, colour), (4, colour[..., :1])):
        data = png(8, 6, bits, kind, np.concatenate([samples, alpha], axis=2).astype(f">u{bits // 8}").tobytes())
        expected = on_white(np.broadcast_to(samples >> upper, (6, 8, 3)), (alpha >> upper)[..., 0])
        assert np.abs(decoded(data) - expected).max() <= 1.5


def test_palettes_with_alpha_with_a_key_and_of_a_gif() -> None:
    palette, places = RNG.integers(0, 256, (16, 3), np.uint8), RNG.integers(0, 16, (6, 8), np.uint8)
    alpha = RNG.integers(0, 256, 16, np.uint8)
    chunks = (b"PLTE", palette.tobytes()), (b"tRNS", alpha.tobytes())
    np.testing.assert_array_equal(decoded(png(8, 6, 8, 3, places.tobytes(), chunks[0])), palette[places])
    found = decoded(png(8, 6, 8, 3, places.tobytes(), *chunks))
    assert np.abs(found - on_white(palette[places], alpha[places])).max() <= 1
    image = Image.fromarray(places, "P")
    image.putpalette(palette.tobytes())
    expected = np.where(places[..., None] == 3, 255, palette[places])
    for form in ("GIF", "PNG"):
        np.testing.assert_array_equal(decoded(saved(image, form, transparency=3)), expected)


@pytest.mark.parametrize("scale", [1, 257])
def test_a_tiff_palette_of_8_bits_is_not_black(scale: int) -> None:
    """TIFF's palettes have 16 bits; many writers store 8 in them (python-pillow #2157)."""
    palette, places = RNG.integers(0, 256, (256, 3), np.uint8), RNG.integers(0, 256, (6, 8), np.uint8)
    image = Image.fromarray(places, "P")
    image.putpalette(palette.tobytes())
    data = saved(image, "TIFF")
    stored = (palette.T.astype("<u2") * 256).tobytes()
    assert data.count(stored) == 1
    data = data.replace(stored, (palette.T.astype("<u2") * scale).astype("<u2").tobytes())
    np.testing.assert_array_equal(decoded(data), palette[places])


def test_cmyk_of_tiff_and_of_jpeg() -> None:
    ink = np.broadcast_to(np.array([200, 60, 10, 40], np.uint8), (16, 16, 4))
    expected = (255 - ink[..., :3].astype(int)) * (255 - ink[..., 3:].astype(int)) / 255
    image = Image.fromarray(ink, "CMYK")
    assert np.abs(decoded(saved(image, "TIFF")) - expected).max() <= 1
    assert np.abs(decoded(saved(image, "JPEG", quality=100)) - expected).max() <= 3


def test_premultiplied_and_padded_colours_of_tiff_and_ycbcr() -> None:
    alpha = RNG.integers(1, 256, (6, 8), np.uint8)
    straight = Image.fromarray(np.dstack([COLOUR, alpha]), "RGBA")
    expected = on_white(COLOUR, alpha)
    assert np.abs(np.asarray(to_rgb(straight.convert("RGBa"))) - expected).max() <= 2
    padded = Image.fromarray(np.dstack([COLOUR, alpha]), "RGBX")
    np.testing.assert_array_equal(np.asarray(to_rgb(padded)), COLOUR)
    y, cb, cr = (COLOUR[..., channel].astype(float) for channel in range(3))
    cb, cr = cb - 128, cr - 128
    jfif = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2).clip(0, 255)
    assert np.abs(np.asarray(to_rgb(Image.fromarray(COLOUR, "YCbCr"))) - jfif).max() <= 1


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (saved(Image.fromarray(np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)), "TIFF"), "F"),
        (saved(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), "I"),
        (saved(Image.new("LAB", (8, 6)), "TIFF"), "LAB"),
    ],
)
def test_what_has_no_known_white_is_refused_by_name(data: bytes, mode: str) -> None:
    with pytest.raises(ImageError) as raised:
        decode_image(data)
    assert str(raised.value) == unread_mode(mode)


@pytest.mark.parametrize("mode", Image.MODES)
def test_every_mode_of_pillow_is_converted_or_refused(mode: str) -> None:
    """White stays white and black black in whatever is converted; nothing else is let through."""
    try:
        white = to_rgb(Image.new("RGB", (1, 1), "white").convert(mode) if "I;16" not in mode else deep(mode, 65535))
    except ImageError as error:
        assert str(error) == unread_mode(mode)
        assert mode in ("F", "I", "LAB", "HSV", "La")
        return
    except ValueError:
        pytest.skip(f"Pillow converts nothing to {mode}")
    assert white.getpixel((0, 0)) == (255, 255, 255)


def deep(mode: str, value: int) -> Image.Image:
    return Image.new(mode, (1, 1), value)
