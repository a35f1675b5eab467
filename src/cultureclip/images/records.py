"""One stored image and its columns, in the layout that the HF ``datasets`` library reads as an image feature."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagehash
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError

from cultureclip.ids import bytes_digest
from cultureclip.reading.pictures import decode_image as decode_upright
from cultureclip.reading.pictures import plain_format, to_rgb

_IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS: dict[str, tuple[pa.DataType, dict[str, str]]] = {
    "image_id": (pa.string(), {"dtype": "string", "_type": "Value"}),
    "image": (_IMAGE_TYPE, {"_type": "Image"}),
    "width": (pa.int32(), {"dtype": "int32", "_type": "Value"}),
    "height": (pa.int32(), {"dtype": "int32", "_type": "Value"}),
    "sha256": (pa.string(), {"dtype": "string", "_type": "Value"}),
    "phash": (pa.string(), {"dtype": "string", "_type": "Value"}),
    "batch_size": (pa.int32(), {"dtype": "int32", "_type": "Value"}),
    "versions": (pa.string(), {"dtype": "string", "_type": "Value"}),
}
_FEATURES = {"info": {"features": {name: feature for name, (_, feature) in _COLUMNS.items()}}}
SCHEMA = pa.schema(
    [(name, kind) for name, (kind, _) in _COLUMNS.items()], metadata={"huggingface": json.dumps(_FEATURES)}
)
KEPT_FORMATS = ("PNG", "JPEG", "WEBP")
"""Formats in which a picture may be stored."""
_STARTS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp"}
"""First bytes of these formats -> ending of a file's name."""
_ROW_GROUP_BYTES = 1 << 20
_PICTURE = "image.bytes"
_LEAVES = [*(name for name in _COLUMNS if name != "image"), _PICTURE, "image.path"]
"""Columns as parquet names them."""
FACTS = [name for name in _COLUMNS if name != "image"]
"""All columns but the picture itself."""


@dataclass(frozen=True)
class ImageRecord:
    """An encoded image.

    Attributes:
        image_id: Id of the request.
        data: The picture's file: a PNG, or of an imported picture a file of :data:`KEPT_FORMATS`.
        width: In pixels.
        height: In pixels.
        sha256: SHA-256 of ``data``.
        phash: Perceptual hash of shapes, a dash, perceptual hash of colours.
        batch_size: Size of the batch in which the image was generated; 1 for an imported one.
        versions: Versions of the software, as JSON.
    """

    image_id: str
    data: bytes
    width: int
    height: int
    sha256: str
    phash: str
    batch_size: int
    versions: str


def encode_image(image_id: str, image: Image.Image, batch_size: int, versions: Mapping[str, str]) -> ImageRecord:
    """Encode a picture as PNG without any metadata: the same pixels give the same bytes."""
    buffer = io.BytesIO()
    picture = to_rgb(image)
    picture.save(buffer, "PNG")
    return _make_record(image_id, picture, buffer.getvalue(), batch_size, versions)


def keep_file(image_id: str, data: bytes) -> ImageRecord:
    """Take in a picture's file from outside: byte for byte if it is stored as it is shown, else as PNG.

    Kept are upright 8-bit RGB files of :data:`KEPT_FORMATS`, which a decoder shows as they are. The others (turned by
    EXIF, transparent, grey, of 16 bits, of another format) are converted as :mod:`cultureclip.reading.pictures` says.

    Raises:
        ImageError: if it is not a picture that is read.
    """
    picture = decode_upright(data)
    if plain_format(data) in KEPT_FORMATS:
        return _make_record(image_id, picture, data, 1, {})
    return encode_image(image_id, picture, 1, {})


def _make_record(
    image_id: str, picture: Image.Image, data: bytes, batch_size: int, versions: Mapping[str, str]
) -> ImageRecord:
    return ImageRecord(
        image_id=image_id,
        data=data,
        width=picture.width,
        height=picture.height,
        sha256=bytes_digest(data),
        phash=perceptual_hash(picture),
        batch_size=batch_size,
        versions=json.dumps(dict(versions), sort_keys=True),
    )


def perceptual_hash(image: Image.Image) -> str:
    """Hash of shapes (DCT of the luminance, 64 bits), a dash, hash of colours (42 bits): alike pictures, alike hashes.

    The first half alone cannot tell apart flags that differ only in colour.
    """
    return f"{imagehash.phash(image)}-{imagehash.colorhash(image)}"


def to_table(records: Sequence[ImageRecord]) -> pa.Table:
    """Return records as rows."""
    columns: dict[str, list[Any]] = {name: [getattr(record, name) for record in records] for name in FACTS}
    columns["image"] = [
        {"bytes": record.data, "path": f"{record.image_id}.{_ending(record.data)}"} for record in records
    ]
    return pa.table(columns, schema=SCHEMA)


def encode_table(table: pa.Table) -> bytes:
    """Return rows as a parquet file, in memory.

    Row groups hold about 1 MiB of pictures: reading one picture costs about as much. Pictures are compressed already,
    and their column is written as it is.
    """
    sink, others = pa.BufferOutputStream(), [leaf for leaf in _LEAVES if leaf != _PICTURE]
    pq.write_table(
        table,
        sink,
        row_group_size=max(1, _ROW_GROUP_BYTES * len(table) // max(table["image"].nbytes, 1)),
        compression={leaf: "none" if leaf == _PICTURE else "zstd" for leaf in _LEAVES},
        use_dictionary=others,
        write_statistics=others,  # the smallest and the largest picture would be stored three times
        write_page_checksum=True,
    )
    file: bytes = sink.getvalue().to_pybytes()
    return file


def _ending(data: bytes) -> str:
    return next(ending for start, ending in _STARTS.items() if data.startswith(start))


def decode_image(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode a stored picture, but only if its header shows the recorded size.

    Args:
        data: Encoded picture.
        size: Recorded width and height.

    Raises:
        ValueError: if it is not a whole picture of this size, or large enough to be a decompression bomb.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=KEPT_FORMATS)
        if picture.size != size:
            raise ValueError(f"its header says {picture.size}, its record says {size}")
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a whole picture ({error})") from error
    return picture
