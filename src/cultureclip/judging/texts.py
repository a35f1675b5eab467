"""How a concept is put into words for the judge: an ensemble of templates, averaged."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from cultureclip.judging.judge import Judge


def concept_texts(
    concepts: pd.DataFrame, templates: Sequence[str], region_name: Callable[[str], str]
) -> list[list[str]]:
    """Fill the templates for every concept.

    Args:
        concepts: Table of concepts.
        templates: Texts with the fields ``{name}``, ``{culture}`` and ``{universal}``. A template with a culture is
            filled once for each culture that the concept is at home in.
        region_name: Region code -> name.

    Returns:
        Distinct texts of each concept, in the table's order.
    """
    rows = zip(concepts["name"], concepts["universal"], concepts["cultures"], strict=True)
    return [
        list(
            dict.fromkeys(
                template.format(name=name, universal=universal, culture=region_name(code))
                for template in templates
                for code in cultures
            )
        )
        for name, universal, cultures in rows
    ]


def embed_concepts(judge: Judge, texts: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the mean of each concept's text embeddings, normalised again: float32 [C, D]."""
    flat = judge.embed_texts([text for group in texts for text in group])
    borders = np.cumsum([0, *map(len, texts)])
    means = np.stack([flat[start:stop].mean(0) for start, stop in pairwise(borders)])
    unit: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return unit
