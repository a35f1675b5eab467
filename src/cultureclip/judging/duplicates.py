"""Images that look the same: a perceptual hash for shapes together with a small thumbnail for colours.

A perceptual hash alone is blind to hue: two patterns of equal stripes share it. It decides only together with colour.
"""

import imagehash
import numpy as np
import pandas as pd
from PIL import Image

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
    colours = _bytes(shared["colour"]).astype(np.float64)
    ids, rows = shared["image_id"].to_numpy(), shared.index.to_numpy()
    starts = np.flatnonzero(np.r_[True, shared["concept_id"].to_numpy()[1:] != shared["concept_id"].to_numpy()[:-1]])
    for start, stop in zip(starts, [*starts[1:], len(shared)], strict=True):
        close = (_squares(bits[start:stop]) <= max_hamming + 0.5) & (
            _squares(colours[start:stop]) <= max_colour_distance**2 * colours.shape[1] + 1e-6
        )
        for late, early in _first_kept(close):
            found.at[rows[start + late]] = ids[start + early]
    return found


def _bytes(column: pd.Series) -> np.ndarray:
    """Return hex strings of one length -> uint8 [N, length / 2]."""
    return np.frombuffer(bytes.fromhex("".join(column)), np.uint8).reshape(len(column), -1)


def _squares(points: np.ndarray) -> np.ndarray:
    """Return squared distances [N, N] in O(N^2) memory; on bits that is the Hamming distance."""
    norms = (points**2).sum(1)
    squares: np.ndarray = norms[:, None] + norms[None] - 2 * points @ points.T
    return squares


def _first_kept(close: np.ndarray) -> list[tuple[int, int]]:
    """Return (duplicate, kept) index pairs of a symmetric closeness matrix, going through the rows in order."""
    earlier = np.tril(close, -1)
    dropped: dict[int, int] = {}
    for row in np.flatnonzero(earlier.any(1)):
        kept = [int(i) for i in np.flatnonzero(earlier[row]) if int(i) not in dropped]
        if kept:
            dropped[int(row)] = kept[0]
    return list(dropped.items())
