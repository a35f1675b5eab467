"""Pictures as small data URIs, so that a page of many needs no file for each."""

import base64
import io
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from markupsafe import Markup
from PIL import Image

EDGE = 152
"""Longest edge in pixels: twice the edge at which pictures are shown, for dense screens."""
_AT_ONCE = 256
"""Images read at once; each of a megapixel takes three megabytes meanwhile."""


class ImageSource(Protocol):
    """Generated images by id."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the images that are there."""

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """The images of these ids, in this order."""


def thumbnail(picture: Image.Image | np.ndarray) -> Markup:
    """A WebP data URI of at most :data:`EDGE` pixels; small pictures keep their size. Base64 needs no escaping."""
    image = (Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).convert("RGB")
    image.thumbnail((EDGE, EDGE), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=90, method=0)
    return Markup("data:image/webp;base64,") + base64.b64encode(buffer.getvalue()).decode("ascii")


def read_thumbnails(images: ImageSource, ids: Collection[str]) -> dict[str, str]:
    """Thumbnails by image id, of those images that are there.

    Ids are read in their order, which is that of a shard store: each of its files is opened about once.
    """
    present = sorted(set(ids).intersection(images.ids))
    found: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as threads:  # Pillow lets go of the interpreter while it works
        for start in range(0, len(present), _AT_ONCE):
            part = present[start : start + _AT_ONCE]
            found |= zip(part, threads.map(thumbnail, images.read(part)), strict=True)
    return found
