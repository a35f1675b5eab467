"""Each picture of a benchmark, decoded once: what came of it is kept, and later loads look at its stamp alone."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

import numpy as np
import PIL

from cultureclip.benchmarks.pictures import Located, StoredImage
from cultureclip.benchmarks.protocols.items import picture_key
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import bytes_digest, digest
from cultureclip.reading.pictures import RULES, ImageError, decode_image

_WORKERS = 8
"""Threads: hashing and decoding release Python's lock, and reading waits for the disk."""
_AT_ONCE = 1024
"""Pictures whose results are kept together, so that a load that is stopped has not decoded for nothing."""


@dataclass(frozen=True)
class Decoded:
    """What is kept of a picture that could be decoded.

    Attributes:
        key: SHA-256 of its file's bytes.
        content: Key of its pixels: :func:`~cultureclip.benchmarks.protocols.items.picture_key`.
        width: In pixels.
        height: In pixels.
    """

    key: str
    content: str
    width: int
    height: int

    def at(self, where: Located) -> StoredImage:
        """Return the picture with its location."""
        return StoredImage(where, (self.width, self.height), self.content)


def decode_once(places: Collection[Located], kept: KeyedStore | None = None) -> dict[Located, Decoded | ImageError]:
    """Decode every picture, except for those that are kept and whose files have not changed since.

    A picture that cannot be decoded is tried again at every load.

    Args:
        places: Distinct locations.
        kept: Results of earlier loads; None: nothing is kept.

    Returns:
        What each picture is, or the error that says why it cannot be decoded.

    Raises:
        StorageError: if the store cannot be read or written.
    """
    keys = {} if kept is None else _keys_of(places)
    known = {} if kept is None else kept.get(keys.values())
    found: dict[Located, Decoded | ImageError] = {
        where: Decoded(*known[key]) for where, key in keys.items() if key in known
    }
    left = [where for where in places if where not in found]
    with ThreadPoolExecutor(_WORKERS) as pool:
        for start in range(0, len(left), _AT_ONCE):
            part = left[start : start + _AT_ONCE]
            new = dict(zip(part, pool.map(_decode, part), strict=True))
            found |= new
            if kept is not None:
                kept.put(_rows(new, keys))
    return {where: found[where] for where in places}


def _keys_of(places: Collection[Located]) -> dict[Located, str]:
    """Return the keys of pictures whose files have stamps: another file, decoder or rule of decoding is another key."""
    stamps = {where: where.stamp() for where in places}
    return {where: digest("decoded", RULES, PIL.__version__, stamp) for where, stamp in stamps.items() if stamp}


def _rows(
    found: Mapping[Located, Decoded | ImageError], keys: Mapping[Located, str]
) -> dict[str, tuple[str | int, ...]]:
    return {
        keys[where]: astuple(picture)
        for where, picture in found.items()
        if where in keys and isinstance(picture, Decoded)
    }


def _decode(where: Located) -> Decoded | ImageError:
    try:
        data = where.read()
        pixels = np.asarray(decode_image(data))
    except ImageError as error:
        return error
    return Decoded(bytes_digest(data), picture_key(pixels), pixels.shape[1], pixels.shape[0])
