"""Pictures as small data URIs, so that a page of many needs no file for each."""

import base64
import io
import os
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import numpy as np
from markupsafe import Markup
from PIL import Image

from cultureclip.images.source import ImageSource
from cultureclip.reading.pictures import to_rgb

EDGE = 152
"""Longest edge in pixels: twice the edge at which pictures are shown, for dense screens."""
_AT_ONCE = 256
"""Images read at once; each of a megapixel takes three megabytes meanwhile."""


class Thumbnails:
    """Data URIs by image id, kept in a file: of photographs each takes several kilobytes, and there may be many.

    Args:
        file: Open for reading and writing; whoever opened it closes it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.places: dict[str, tuple[int, int]] = {}

    def add(self, image_id: str, uri: str) -> None:
        """Append one."""
        self.places[image_id] = self.file.seek(0, os.SEEK_END), self.file.write(uri.encode("ascii"))

    def get(self, image_id: str) -> str | None:
        """Return the thumbnail of an image; None of one that is not there."""
        if image_id not in self.places:
            return None
        start, length = self.places[image_id]
        self.file.seek(start)
        return self.file.read(length).decode("ascii")


def shrink(picture: Image.Image | np.ndarray, edge: int = EDGE) -> bytes:
    """Shrink a picture to a WebP file of at most ``edge`` pixels a side; small pictures keep their size."""
    image = to_rgb(Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture)
    image.thumbnail((edge, edge), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=0)
    return buffer.getvalue()


def data_uri(webp: bytes) -> Markup:
    """Write a WebP file as a data URI. Base64 needs no escaping."""
    return Markup("data:image/webp;base64,") + base64.b64encode(webp).decode("ascii")


def thumbnail(picture: Image.Image | np.ndarray, edge: int = EDGE) -> Markup:
    """Shrink a picture and write it as a data URI."""
    return data_uri(shrink(picture, edge))


def read_thumbnails(images: ImageSource, ids: Collection[str], file: BinaryIO) -> Thumbnails:
    """Return thumbnails of those images that are there, kept in a file.

    Ids are read in their order: neighbours lie in the same few files of a shard store.
    """
    present = sorted(set(ids).intersection(images.ids))
    found = Thumbnails(file)
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow lets go of the interpreter while it works
        for start in range(0, len(present), _AT_ONCE):
            part = present[start : start + _AT_ONCE]
            for image_id, uri in zip(part, threads.map(thumbnail, images.read(part)), strict=True):
                found.add(image_id, uri)
    return found
