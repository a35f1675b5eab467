"""How much the kept images differ, and how often one thing repeats among them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from scipy.special import entr

from cultureclip.judging.calibration.images import JUDGE, list_groups
from cultureclip.judging.verdicts import DECISION
from cultureclip.tables import make_table

DIVERSITY = pa.DataFrameSchema(
    {
        "axis": pa.Column(str, pa.Check.isin(("all", "category", "culture", "concept"))),
        "group": pa.Column(str),  # of a concept its id
        "name": pa.Column(str),  # of a concept; else the group
        "images": pa.Column(int, pa.Check.ge(1)),  # kept
        "embedded": pa.Column(int, pa.Check.ge(0)),  # of them those with an embedding
        "vendi": pa.Column(float, pa.Check.ge(1), nullable=True, coerce=True),  # null without an embedding
        "concepts": pa.Column(int, pa.Check.ge(1)),
        "top_concept": pa.Column(str),
        "top_concept_share": pa.Column(float, pa.Check.in_range(0, 1)),
        "top_feature": pa.Column(str, nullable=True),  # null where no caption shows one
        "top_feature_share": pa.Column(float, pa.Check.in_range(0, 1)),
    },
    strict=True,
    unique=["axis", "group"],
)


def vendi_score(embeddings: np.ndarray) -> float:
    """Return how many wholly different images would be as diverse as these.

        exp(- sum_i l_i log l_i)      l: eigenvalues of K / n, K the cosines of n embeddings

    1 for n identical images, n for n orthogonal ones (Friedman and Dieng 2023, Transactions on Machine Learning
    Research). It grows with n, so compare groups of like size.

    Args:
        embeddings: [n, D], of any length, none zero.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = unit.astype(np.float64)
    small = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit  # the same eigenvalues but for zeros
    values = np.clip(np.linalg.eigvalsh(small) / len(unit), 0, None)
    return max(1.0, float(np.exp(entr(values).sum())))


def select_kept(images: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of images that are used: by the decision, or by the only judge where there is no decision."""
    decided = images[images[JUDGE] == DECISION] if (images[JUDGE] == DECISION).any() else images
    return decided[decided["verdict"] == "accepted"]


def tabulate_diversity(kept: pd.DataFrame, embeddings: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Measure the diversity of the kept images of every group and every concept.

    Args:
        kept: From :func:`select_kept`, of images with ``checks``, the column of the captions table.
        embeddings: image_id -> embedding, of an image-text model.

    Returns:
        Table that fits :data:`DIVERSITY`. ``top_concept_share`` is the share of a group's kept images that were made
        for its most frequent concept. ``top_feature_share`` is the share of them whose caption shows the key visual
        feature that most captions show (the caption's check found it): what the generator was asked for, not what it
        drew.
    """
    groups = [(axis, group, group, kept[mask]) for axis, group, mask in list_groups(kept)] if len(kept) else []
    groups += [("concept", str(c), str(part["name"].iloc[0]), part) for c, part in kept.groupby("concept_id")]
    rows = [
        {"axis": axis, "group": group, "name": name, **_describe(part, embeddings)}
        for axis, group, name, part in groups
    ]
    return make_table(rows, DIVERSITY)


def _describe(part: pd.DataFrame, embeddings: Mapping[str, np.ndarray]) -> dict[str, Any]:
    known = [embeddings[i] for i in part["image_id"] if i in embeddings]
    concept, concept_share = _most_frequent(([name] for name in part["name"]), len(part))
    feature, feature_share = _most_frequent(map(_features, part["checks"]), len(part))
    return {
        "images": len(part),
        "embedded": len(known),
        "vendi": vendi_score(np.stack(known)) if known else None,
        "concepts": part["concept_id"].nunique(),
        "top_concept": concept,
        "top_concept_share": concept_share,
        "top_feature": feature,
        "top_feature_share": feature_share,
    }


def _most_frequent(shown: Iterable[list[str]], images: int) -> tuple[str | None, float]:
    """Return what most images show, the first by name among equals, and the share of images that show it."""
    counts = Counter(thing for things in shown for thing in set(things))
    if not counts:
        return None, 0.0
    thing, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return thing, count / images


def _features(checks: str) -> list[str]:
    """Return the features that a caption's check found in it, in lower case: concepts share them."""
    return [feature.casefold() for feature in json.loads(checks).get("features_shown", ())]
