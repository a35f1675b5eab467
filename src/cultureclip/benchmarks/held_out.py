"""Check that training data contains nothing that a benchmark holds out. A leak is an error, not a warning."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

from cultureclip.benchmarks.pictures import LazyPictures
from cultureclip.benchmarks.protocols.benchmark import Benchmark
from cultureclip.benchmarks.protocols.items import named_concept, picture_key
from cultureclip.errors import LeakError
from cultureclip.ids import digest
from cultureclip.reading.pictures import RULES, to_rgb

_LISTED = 10
_HASH_EDGE = 8
_SHAPE = (4, _HASH_EDGE**2 // 8)
_ONES = np.array([byte.bit_count() for byte in range(256)], np.uint8)
"""Number of set bits of each byte."""


def check_held_out(
    benchmarks: Sequence[Benchmark],
    cultwin: pd.DataFrame,
    images: Iterable[tuple[str, Image.Image]],
    general: Iterable[tuple[str, Image.Image]] = (),
    near_distance: int | None = None,
) -> dict[str, Any]:
    """Compare every training picture and concept with what the benchmarks hold out.

    Pictures are compared by the hash of their RGB pixels. The check looks for near-duplicates only if ``near_distance``
    is given: a generated flag may rightly look just like the held-out flag (three stripes are three stripes), so for
    generated pictures only identical pixels show that a held-out picture was copied. Give a distance if training
    pictures are photographs, which can be re-encoded copies.

    Args:
        benchmarks: Benchmarks with their declarations.
        cultwin: Training rows.
        images: (image_id, picture) of every picture that the rows name.
        general: (pair_id, picture) of every general picture that was replayed.
        near_distance: Largest distance, in bits of 64, of the perceptual hashes (brightness and each colour channel) of
            near-duplicates.

    Returns:
        Counts of the pictures and concepts compared.

    Raises:
        LeakError: if there is a leak; the error lists the training rows and what they contain.
    """
    held = _HeldPictures([b for b in benchmarks if b.declaration.holds_out == "images"], near_distance)
    leaks = _leaked_concepts(benchmarks, cultwin)
    compared: Counter[str] = Counter()
    for kind, pictures in (("image", images), ("general pair", general)):
        for identifier, picture in pictures:
            compared[kind] += 1
            owner = held.find(np.asarray(to_rgb(picture)))
            if owner is not None:
                rows = _rows_with(cultwin, identifier) if kind == "image" else [""]
                leaks += [f"{row}{kind} {identifier} is held out by {owner}" for row in rows]
    if leaks:
        more = f" and {len(leaks) - _LISTED} more" if len(leaks) > _LISTED else ""
        raise LeakError(
            "training data",
            f"{len(leaks)} leaks: " + "; ".join(leaks[:_LISTED]) + more,
            "Remove these rows, or take the pictures out of the benchmark, and train again",
        )
    return {
        "training_images": compared["image"],
        "general_pairs": compared["general pair"],
        "training_rows": len(cultwin),
        "held_out_images": len(held),
        "near_distance": near_distance,
        "leaks": 0,
    }


def _rows_with(cultwin: pd.DataFrame, image_id: str) -> list[str]:
    """Return the training rows of an image as an error names them."""
    rows = cultwin.loc[(cultwin["pos_image_id"] == image_id) | (cultwin["neg_image_id"] == image_id), "row_id"]
    return [f"row {row}: " for row in rows]


def _leaked_concepts(benchmarks: Sequence[Benchmark], cultwin: pd.DataFrame) -> list[str]:
    """Return the leaks of held-out concepts: rows with the same id, or with the same name if there are only names."""
    leaks = []
    for benchmark in benchmarks:
        if benchmark.declaration.holds_out != "concepts":
            continue
        for side in ("pos", "neg"):
            named = cultwin[f"{side}_concept"].map(named_concept)
            bad = cultwin[(cultwin[f"{side}_concept_id"].isin(benchmark.concepts)) | named.isin(benchmark.concepts)]
            leaks += [
                f"row {row.row_id}: concept {getattr(row, f'{side}_concept')!r} is held out by {benchmark.name}"
                for row in bad.itertuples()
            ]
    return leaks


class _HeldPictures:
    """Held-out pictures. Those of published benchmarks are compared without decoding: there may be thousands.

    Equal pixels need equal sizes, so pictures of one size are compared when the first training picture of that size
    arrives, by the keys of their pixels that the intake found. The search for near-duplicates decodes all pictures
    once, and where results are kept never again.

    Args:
        benchmarks: Benchmarks that hold out images.
        distance: See :func:`check_held_out`.
    """

    def __init__(self, benchmarks: Sequence[Benchmark], distance: int | None) -> None:
        pictures = {key: benchmark for benchmark in benchmarks for key in benchmark.images}
        self._of_size: dict[tuple[int, int], list[str]] = defaultdict(list)
        for key, benchmark in pictures.items():
            self._of_size[_size_of(benchmark.images, key)].append(key)
        self._pictures = pictures
        self._hashed: dict[tuple[int, int], dict[str, str]] = {}
        self._finder = None if distance is None else _NearFinder(pictures, distance)

    def __len__(self) -> int:
        return len(self._pictures)

    def find(self, pixels: np.ndarray) -> str | None:
        """Return the name of the benchmark that holds out a picture (uint8 [H, W, 3]), or None."""
        owner = self._find_equal(pixels)
        return self._finder.find(pixels) if owner is None and self._finder else owner

    def _find_equal(self, pixels: np.ndarray) -> str | None:
        size = (pixels.shape[1], pixels.shape[0])
        if size not in self._of_size:  # most training pictures differ in size and need no hash
            return None
        if size not in self._hashed:
            self._hashed[size] = {
                _content_of(self._pictures[key].images, key): self._pictures[key].name for key in self._of_size[size]
            }
        return self._hashed[size].get(picture_key(pixels))


def _size_of(images: Mapping[str, np.ndarray], key: str) -> tuple[int, int]:
    """Return the width and height of a picture, without decoding if it belongs to a published benchmark."""
    if isinstance(images, LazyPictures):
        return images.size_of(key)
    return images[key].shape[1], images[key].shape[0]


def _content_of(images: Mapping[str, np.ndarray], key: str) -> str:
    """Return the key of a picture's pixels, without decoding if it belongs to a published benchmark."""
    return images.content_of(key) if isinstance(images, LazyPictures) else picture_key(images[key])


class _NearFinder:
    """Perceptual hashes of held-out pictures, compared per channel, because flags may differ in colour alone."""

    def __init__(self, held: Mapping[str, Benchmark], distance: int) -> None:
        self.distance, found = distance, _hash_all(held)
        self.owners = [held[key].name for key in found]
        self.hashes = np.stack([*found.values()]) if found else np.zeros((0, *_SHAPE), np.uint8)

    def find(self, pixels: np.ndarray) -> str | None:
        """Return the name of the benchmark with a picture within the distance in every channel, or None."""
        distances = _ONES[self.hashes ^ _hash(pixels)].sum(axis=2).max(axis=1)
        if not len(distances) or distances.min() > self.distance:
            return None
        return self.owners[int(distances.argmin())]


def _hash_all(held: Mapping[str, Benchmark]) -> dict[str, np.ndarray]:
    """Return the perceptual hashes of all pictures by their keys, which are sorted."""
    keys: dict[str, list[str]] = defaultdict(list)
    for key, benchmark in held.items():
        keys[benchmark.name].append(key)
    images = {benchmark.name: benchmark.images for benchmark in held.values()}
    hashes: dict[str, np.ndarray] = {}
    for name, own in keys.items():
        hashes |= _hash_pictures(images[name], own)
    return dict(sorted(hashes.items()))


def _hash_pictures(images: Mapping[str, np.ndarray], keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Return perceptual hashes by key; a published benchmark's are kept, so each picture is decoded for them once."""
    store = images.kept if isinstance(images, LazyPictures) else None
    places = {key: digest("near", _SHAPE, RULES, imagehash.__version__, key) for key in keys}
    known = {} if store is None else store.get(places.values())
    left = [key for key in keys if places[key] not in known]
    with ThreadPoolExecutor() as pool:
        new = dict(zip(left, pool.map(lambda key: _hash(images[key]), left), strict=True))
    if store is not None:
        store.put({places[key]: bits.tobytes().hex() for key, bits in new.items()})
    return {key: new[key] if key in new else _unpack(known[places[key]]) for key in keys}


def _unpack(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(_SHAPE)


def _hash(pixels: np.ndarray) -> np.ndarray:
    """Return 64 bits of brightness, red, green and blue, eight per byte: uint8 [4, 8]."""
    picture = Image.fromarray(pixels)
    channels = (picture.convert("L"), *picture.split())
    hashes = [imagehash.phash(channel, hash_size=_HASH_EDGE).hash.ravel() for channel in channels]
    return np.packbits(hashes, axis=1)
