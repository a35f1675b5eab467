"""Judged images with the concept, category and cultures that each was made for."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cultureclip.errors import MissingInputError
from cultureclip.judging.verdicts import DECISION

ALL = "all"
JUDGE = "judge"
_ONLY_JUDGE = "judge"


def describe_images(judgements: pd.DataFrame, captions: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Add to every judgement the concept that its image was made for.

    Args:
        judgements: With ``image_id`` and ``caption_id``; one row per image, or per image and ``judge``.
        captions: All captions.
        concepts: All concepts.

    Returns:
        ``judgements`` with ``judge`` (one name for all, where there is no such column), the caption's ``concept_id``
        and ``checks``, and the concept's ``name``, ``category`` and ``cultures``.

    Raises:
        MissingInputError: if the tables are of different runs.
    """
    shown = captions[["caption_id", "concept_id", "checks"]].merge(
        concepts[["concept_id", "name", "category", "cultures"]], on="concept_id", how="left", validate="many_to_one"
    )
    images = judgements.merge(shown, on="caption_id", how="left", validate="many_to_one")
    if absent := int(images["category"].isna().sum()):
        cause = f"of different runs: {absent} of {len(images)} judged images refer to rows that are not there"
        remedy = "Make them again, in order: kedro run --pipelines=captioning,synthesis,filtering"
        raise MissingInputError("captions, concepts and judgements", cause, remedy)
    return images if JUDGE in images else images.assign(judge=_ONLY_JUDGE)


def list_groups(images: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (axis, group, mask of its rows): all images, every category and every culture.

    An image of a concept with several cultures counts for each of them.
    """
    yield ALL, ALL, np.ones(len(images), dtype=bool)
    for category in sorted(images["category"].unique()):
        yield "category", category, (images["category"] == category).to_numpy()
    cultures = images["cultures"].reset_index(drop=True).explode()
    for culture, places in sorted(cultures.groupby(cultures).groups.items()):
        mask = np.zeros(len(images), dtype=bool)
        mask[places] = True
        yield "culture", str(culture), mask


def split_judges(images: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return every judge's images, by the judge's name, without the rows of the decision, which is no judge."""
    return {str(name): rows for name, rows in images.groupby(JUDGE, sort=True) if name != DECISION}
