"""Looks of concepts: their reference pictures, and which of them are equal in every pixel."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa
from PIL import Image, ImageOps

from cultureclip.concepts.settings import View
from cultureclip.errors import SourceDataError
from cultureclip.graphs import connect
from cultureclip.pictures.registry import MOST_STYLES, find_scheme
from cultureclip.reading.pictures import FORMATS, ImageError, decode_image, read_picture

if TYPE_CHECKING:  # the torch import takes seconds, and only code that embeds needs it
    from cultureclip.models.encoder import ImageTextEncoder

LOOKS = pa.DataFrameSchema(
    {
        "concept_id": pa.Column(str, unique=True),
        "embedding": pa.Column(object),  # the judge's, the mean over the concept's pictures, L2-normalised
        "judge": pa.Column(str),  # fingerprint of the judge
        "pictures": pa.Column(int, pa.Check.ge(1)),  # how many it is the mean over
        "stands_for": pa.Column(str),  # id of the concept that is used of all that are drawn like this one
    },
    strict=True,
)
"""Table of looks: one row per concept that has a picture."""

_WHITE = (255, 255, 255)
_TURNS: dict[View, Callable[[np.ndarray], np.ndarray]] = {
    "left_right": lambda pictures: pictures[:, :, ::-1],
    "upside_down": lambda pictures: pictures[:, ::-1],
    "half_turn": lambda pictures: pictures[:, ::-1, ::-1],
}


def read_pictures(reference: str, size: int) -> list[np.ndarray]:
    """Return the pictures of a concept, one per drawing style; the first is the one that twins are sought by.

    Args:
        reference: Of a scheme, or the path of an image file. Where there are fewer pictures than the scheme with the
            most styles has, the first one stands for the styles that are missing.
        size: Edge in pixels.

    Returns:
        uint8 arrays [size, size, 3] on white.

    Raises:
        SourceDataError: if there is no such drawing, or the file is refused by :func:`open_image`.
    """
    if drawn := find_scheme(reference):
        scheme, what = drawn
        pictures = [scheme.draw(what, style, size) for style in scheme.styles]
    else:
        image = ImageOps.pad(open_image(reference), (size, size), Image.Resampling.LANCZOS, _WHITE)
        pictures = [np.asarray(image)]
    return pictures + pictures[:1] * (MOST_STYLES - len(pictures))


def open_image(path: str) -> Image.Image:
    """Read an image file as RGB on white; see :mod:`cultureclip.reading.pictures` for the rules.

    Raises:
        SourceDataError: if there is no file, or it is not a whole picture of a supported kind and size.
    """
    try:
        return decode_image(read_picture(Path(path)))
    except ImageError as error:
        raise SourceDataError(
            path, f"{error} ({error.__cause__})", f"Give a whole picture of 8 bits per sample: {', '.join(FORMATS)}"
        ) from error


def embed_pictures(judge: "ImageTextEncoder", pictures: np.ndarray, seen_as: Collection[View]) -> np.ndarray:
    """Embed for closeness of looks.

    A judge that can tell Ireland from Côte d'Ivoire puts them apart, but to the eye they are alike *because* one is the
    other's mirror image. An embedding is the mean over the picture and its views; with all three of them it is the same
    for a picture and its mirror images.

    Args:
        judge: Encoder of the pictures.
        pictures: uint8 [N, H, W, 3].
        seen_as: Views that count beside the upright picture.

    Returns:
        L2-normalised, float32 [N, D].
    """
    views = [pictures, *(turn(pictures) for view, turn in _TURNS.items() if view in seen_as)]
    mean = np.mean([judge.encode_images([Image.fromarray(picture) for picture in view]) for view in views], axis=0)
    return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)


def stack_embeddings(looks: pd.DataFrame) -> np.ndarray:
    """Return the embeddings of a table of looks, [N, D].

    Raises:
        SourceDataError: if they are of different judges, also of two whose embeddings have the same width, or if the
            table does not name its judges.
    """
    remedy = "Embed all concepts with one judge: run mining again"
    if "judge" not in looks:
        cause = "it does not say whose embeddings it holds"
        raise SourceDataError("table of looks", cause, "Run mining from its start")
    if (judges := looks["judge"].nunique()) > 1:
        raise SourceDataError("table of looks", f"its embeddings are of {judges} different judges", remedy)
    widths = sorted({len(embedding) for embedding in looks["embedding"]})
    if len(widths) > 1:
        cause = f"its embeddings have {' and '.join(map(str, widths))} numbers: they are of different judges"
        raise SourceDataError("table of looks", cause, remedy)
    return np.stack(looks["embedding"].to_list())


def find_alike(pictures: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Return all pairs of pictures that are the same to the pixel, up to a small mean absolute difference.

    Pictures are compared in the order of their mean brightness, and only while the means are within the tolerance:
    |mean(a) - mean(b)| <= mean |a - b|, so no pair is missed and most are never compared.

    Args:
        pictures: uint8 [N, H, W, 3].
        tolerance: Largest mean absolute difference, in grey levels (0-255).
    """
    flat = pictures.reshape(len(pictures), int(np.prod(pictures.shape[1:])))
    means = flat.mean(axis=1)
    order = np.argsort(means, kind="stable")
    ends = np.searchsorted(means[order], means[order] + tolerance, side="right")
    pairs = []
    for place, end in enumerate(ends):
        first, others = order[place], order[place + 1 : end]
        difference = np.abs(flat[others].astype(np.int16) - flat[first]).mean(axis=1)
        pairs += [(int(min(first, o)), int(max(first, o))) for o in others[difference <= tolerance]]
    return sorted(pairs)


def choose_representatives(concepts: pd.DataFrame, pictures: list[np.ndarray], tolerance: float) -> list[str]:
    """Choose one of several concepts drawn alike in any style.

    Chosen is the one whose cultures have the most languages in Unicode CLDR, a stand-in for the better known place
    (Norway rather than Svalbard); among equals the first row.

    Args:
        concepts: Rows with ``concept_id`` and ``cultures``, N.
        pictures: For each style uint8 [N, H, W, 3], in the same order.
        tolerance: As for :func:`find_alike`.

    Returns:
        For each row the id of the concept that stands for it; its own where nothing is drawn alike.
    """
    pairs = sorted({pair for of_style in pictures for pair in find_alike(of_style, tolerance)})
    alike = connect(pairs)
    rows = concepts[["concept_id"]].assign(
        group=[alike.get(place, place) for place in range(len(concepts))],
        languages=concepts["cultures"].map(count_languages),
        place=range(len(concepts)),
    )
    best = rows.sort_values(["languages", "place"], ascending=[False, True]).drop_duplicates("group")
    return list(rows["group"].map(best.set_index("group")["concept_id"]))


def count_languages(cultures: list[str]) -> int:
    """Return how many languages CLDR lists for the cultures' territories."""
    from babel.languages import get_territory_language_info

    return sum(len(get_territory_language_info(code)) for code in cultures)
