"""Images that look the same: a perceptual hash for shapes together with a small thumbnail for colours.

A perceptual hash alone is blind to hue: two patterns of equal stripes share it. It decides only together with colour.
"""

import math
from collections.abc import Iterable, Iterator

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

_PAIRS_AT_ONCE = 1 << 20

THUMBNAIL = 4
"""Edge of the colour thumbnail: 4 x 4 x 3 bytes show the places of colours."""


def look_of(picture: Image.Image) -> dict[str, str]:
    """Return the look of an RGB picture as two hex strings: ``phash`` (64 bits) and ``colour`` (a 4 x 4 thumbnail)."""
    thumbnail = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return {"phash": str(imagehash.phash(picture)), "colour": thumbnail.tobytes().hex()}


def find_duplicates(looks: pd.DataFrame, max_hamming: int, max_colour_distance: float) -> pd.Series:
    """Find each image's earlier look-alike within the same concept.

    Images of a concept are taken in the order of their ids; an image is a duplicate of the first kept one that is near
    it in both measures. A duplicate shadows nothing itself, so a chain of small changes does not collapse into one.

    Args:
        looks: ``image_id``, ``concept_id``, ``phash``, ``colour``; one row per image.
        max_hamming: Largest number of differing hash bits.
        max_colour_distance: Largest root mean square difference of the thumbnails, in grey levels of 0-255.

    Returns:
        Id of the image that each row repeats, or missing, on the index of ``looks``.
    """
    found = pd.Series(None, index=looks.index, dtype=object)
    shared = looks[looks["concept_id"].duplicated(keep=False)].sort_values(["concept_id", "image_id"])
    if shared.empty:
        return found
    bits = np.unpackbits(_bytes(shared["phash"]), axis=1).astype(np.float32)
    colours = _bytes(shared["colour"]).astype(np.float32)
    limits = max_hamming, math.floor(max_colour_distance**2 * colours.shape[1] + 1e-6)
    late, early = _first_kept(_close_pairs(shared["concept_id"].to_numpy(), bits, colours, limits))
    if len(late):
        found.loc[shared.index[late]] = shared["image_id"].to_numpy(dtype=object)[early]
    return found


def _close_pairs(
    concepts: np.ndarray, bits: np.ndarray, colours: np.ndarray, limits: tuple[int, int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the close pairs of rows, the later and the earlier of each.

    Concepts with the same number of rows are compared together, [G, n, n] values at a time; a concept with very many
    rows is compared in blocks of rows, [1, b, n].

    Args:
        concepts: The concept of each row; rows of a concept follow each other.
        bits: 0 or 1, [N, 64].
        colours: Grey levels, [N, 48].
        limits: Largest squared distances in the two.
    """
    starts = np.flatnonzero(np.r_[True, concepts[1:] != concepts[:-1]])
    sizes = np.diff(np.r_[starts, len(concepts)])
    for size in np.unique(sizes).tolist():
        of_size = starts[sizes == size]
        together = max(1, _PAIRS_AT_ONCE // size**2)
        block = max(1, _PAIRS_AT_ONCE // size)
        for first in range(0, len(of_size), together):
            rows = of_size[first : first + together, None] + np.arange(size)
            for top in range(0, size, block):
                here = rows[:, top : top + block]
                close = np.ones((*here.shape, size), dtype=bool)
                for points, most in zip((bits, colours), limits, strict=True):
                    close &= _squares(points[here], points[rows]) <= most
                group, late, early = np.nonzero(close)
                earlier = early < late + top
                yield here[group, late][earlier], rows[group, early][earlier]


def _bytes(column: pd.Series) -> np.ndarray:
    """Return hex strings of one length -> uint8 [N, length / 2]."""
    return np.frombuffer(bytes.fromhex("".join(column)), np.uint8).reshape(len(column), -1)


def _squares(some: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return squared distances, [G, b, D] x [G, n, D] -> [G, b, n], exact for the whole numbers of hashes and colours.

    On bits they are Hamming distances. All terms are below 2^24, so float32 holds them.
    """
    products = some @ points.transpose(0, 2, 1)
    squares: np.ndarray = (some**2).sum(-1)[:, :, None] + (points**2).sum(-1)[:, None] - 2 * products
    return squares


def _first_kept(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[list[int], list[int]]:
    """Return duplicates and what each repeats, going through the rows in order: a duplicate shadows nothing itself."""
    near: dict[int, list[int]] = {}
    for late, early in pairs:
        for row, other in zip(late.tolist(), early.tolist(), strict=True):
            near.setdefault(row, []).append(other)
    dropped: dict[int, int] = {}
    for row in sorted(near):
        kept = [other for other in near[row] if other not in dropped]
        if kept:
            dropped[row] = min(kept)
    return list(dropped), list(dropped.values())
