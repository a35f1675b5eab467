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
from cultureclip.reading.pictures import to_rgb

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
_FACTS = [name for name in _COLUMNS if name != "image"]
"""All columns but the picture itself."""


@dataclass(frozen=True)
class ImageRecord:
    """An encoded image.

    Attributes:
        image_id: Id of the request.
        png: The picture.
        width: In pixels.
        height: In pixels.
        sha256: SHA-256 of ``png``.
        phash: Perceptual hash of shapes, a dash, perceptual hash of colours.
        batch_size: Size of the batch in which the image was generated.
        versions: Versions of the software, as JSON.
    """

    image_id: str
    png: bytes
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
    png = buffer.getvalue()
    return ImageRecord(
        image_id=image_id,
        png=png,
        width=picture.width,
        height=picture.height,
        sha256=bytes_digest(png),
        phash=perceptual_hash(picture),
        batch_size=batch_size,
        versions=json.dumps(dict(versions), sort_keys=True),
    )


def perceptual_hash(image: Image.Image) -> str:
    """Hash of shapes (DCT of the luminance, 64 bits), a dash, hash of colours (42 bits): alike pictures, alike hashes.

    The first half alone cannot tell apart flags that differ only in colour.
    """
    return f"{imagehash.phash(image)}-{imagehash.colorhash(image)}"


def to_parquet(records: Sequence[ImageRecord]) -> bytes:
    """Return a parquet file of records, in memory."""
    columns: dict[str, list[Any]] = {name: [getattr(record, name) for record in records] for name in _FACTS}
    columns["image"] = [{"bytes": record.png, "path": f"{record.image_id}.png"} for record in records]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=SCHEMA), sink, compression="zstd", write_page_checksum=True)
    file: bytes = sink.getvalue().to_pybytes()
    return file


def decode_image(png: bytes, size: tuple[int, int]) -> Image.Image:
    """Decode a stored picture, but only if its header shows the recorded size.

    Args:
        png: Encoded picture.
        size: Recorded width and height.

    Raises:
        ValueError: if it is not a whole picture of this size, or large enough to be a decompression bomb.
    """
    try:
        picture = Image.open(io.BytesIO(png), formats=["PNG"])
        if picture.size != size:
            raise ValueError(f"its header says {picture.size}, its record says {size}")
        picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a whole PNG ({error})") from error
    return picture
