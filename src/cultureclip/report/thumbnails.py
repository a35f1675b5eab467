"""Pictures as small data URIs, so that a page of many needs no file for each; drawn by all cores, and once."""

import base64
import io
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
from markupsafe import Markup
from PIL import Image

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.reading.pictures import to_rgb

Item = TypeVar("Item")

EDGE = 152
"""Longest edge in pixels: twice the edge at which pictures are shown, for dense screens."""
_LOOK: dict[str, Any] = {"format": "JPEG", "quality": 85, "subsampling": 0}
"""Of small drawings twice as large as WebP of quality 90 and, with colours at full resolution, closer to the picture by
6 dB; written five times as fast."""
_AT_ONCE = 64
"""Pictures of which a core has the files decoded at once: each of a megapixel takes three megabytes meanwhile."""
_PART = 1024
"""Pictures whose thumbnails a core keeps together."""
_MANY = 8 * _PART
"""From so many pictures on, processes draw: small pictures spend their time in the interpreter, which threads share.
Starting a process takes about as long as drawing some thousand."""


def shrink(picture: Image.Image | np.ndarray, edge: int = EDGE) -> bytes:
    """Shrink a picture to a JPEG file of at most ``edge`` pixels a side; small pictures keep their size."""
    image = to_rgb(Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture)
    image.thumbnail((edge, edge), reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, **_LOOK)
    return buffer.getvalue()


def data_uri(jpeg: bytes) -> Markup:
    """Write a JPEG file as a data URI. Base64 needs no escaping."""
    return Markup("data:image/jpeg;base64,") + base64.b64encode(jpeg).decode("ascii")


def thumbnail(picture: Image.Image | np.ndarray, edge: int = EDGE) -> Markup:
    """Shrink a picture and write it as a data URI."""
    return data_uri(shrink(picture, edge))


def keep_thumbnails(images: ImageSource, ids: Collection[str], kept: KeyedStore) -> dict[str, str]:
    """Draw the thumbnails of pictures that are not kept yet, with all cores.

    A thumbnail is kept by the content of its picture, so a picture that was changed gets another.

    Args:
        images: Source of the pictures; it is sent to other processes if there are many.
        ids: Those that are wanted; one that is not there is passed over. They are read in the order of their ids:
            neighbours lie in the same few files of a shard store.
        kept: Where thumbnails are kept, as data URIs.

    Returns:
        Id -> key in the store, of those that are there.

    Raises:
        CultureClipError: if a picture cannot be read, or the store cannot be written.
    """
    present = sorted(set(ids).intersection(images.ids))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        checksums = chain.from_iterable(threads.map(images.checksums, _cut(present)))
        keys = {i: digest("thumbnail", EDGE, _LOOK, checksum) for i, checksum in zip(present, checksums, strict=True)}
    known = kept.find(keys.values())
    first = {key: i for i, key in reversed(keys.items()) if key not in known}
    missing = sorted((i, key) for key, i in first.items())
    with _all_cores(len(missing), images, kept) as draw, progress_bar(total=len(missing), desc="thumbnails") as bar:
        for drawn in draw(_cut(missing)):
            bar.update(drawn)
    return keys


def _cut(items: Sequence[Item]) -> list[Sequence[Item]]:
    return [items[start : start + _PART] for start in range(0, len(items), _PART)]


@contextmanager
def _all_cores(
    count: int, images: ImageSource, kept: KeyedStore
) -> Iterator[Callable[[Iterable[Sequence[tuple[str, str]]]], Iterator[int]]]:
    """Give a function that draws parts with :func:`_draw`, in threads or, if there are many pictures, in processes."""
    if count < _MANY:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            yield partial(threads.map, partial(_draw, images, kept))
    else:
        with ProcessPoolExecutor(os.cpu_count(), get_context("spawn"), _begin, (images, kept)) as processes:
            yield partial(processes.map, _draw_here)


_HERE: list[Callable[[Sequence[tuple[str, str]]], int]] = []
"""What a process was started for: its source is sent to it once."""


def _begin(images: ImageSource, kept: KeyedStore) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run decides what an interrupt means
    _HERE[:] = [partial(_draw, images, kept)]


def _draw_here(missing: Sequence[tuple[str, str]]) -> int:
    return _HERE[0](missing)


def _draw(images: ImageSource, kept: KeyedStore, missing: Sequence[tuple[str, str]]) -> int:
    """Draw and keep thumbnails of pictures, given as (id, key of the thumbnail); return how many."""
    drawn: dict[str, str] = {}
    for start in range(0, len(missing), _AT_ONCE):
        part = missing[start : start + _AT_ONCE]
        pictures = images.read([i for i, _ in part])
        drawn |= {key: thumbnail(picture) for (_, key), picture in zip(part, pictures, strict=True)}
    kept.put(drawn)
    return len(drawn)
