"""The training rows of bench/never_tuned_on.py: the run's own, each time with one thing changed."""

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.benchmarks.concept_texts import describe_concept

SIDE = ("concept", "concept_id", "caption", "caption_id", "image_id")
Rows = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


def same_rows(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001 - one signature for all
    """Return the rows of the run."""
    return rows


def without_names(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Put the kind of thing where a caption has its concept's name or another name of it."""
    facts = concepts.set_index("concept_id")

    def write(concept: str, caption: str) -> str:
        row = facts.loc[concept]
        return names_of(row).sub(lambda _: row["universal"], caption)

    return _with_captions(rows, write)


def with_definitions(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Put key visual features and context where the caption was."""
    facts = {row["concept_id"]: row for row in concepts.to_dict("records")}

    def write(concept: str, caption: str) -> str:
        return describe_concept(facts[concept], "{key_visual_features}. {context}") or caption

    return _with_captions(rows, write)


def of_half_the_concepts(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    """Keep twins, in a random order, until they show half of the training concepts, and all others of these."""
    train = rows[rows["split"] == "train"]
    pairs = train.drop_duplicates("twin_id").sort_values("twin_id")[["pos_concept_id", "neg_concept_id"]]
    wanted = len({*pairs["pos_concept_id"], *pairs["neg_concept_id"]}) // 2
    kept: set[str] = set()
    for pair in pairs.sample(frac=1, random_state=0).to_numpy().tolist():
        if len(kept.union(pair)) <= wanted:
            kept.update(pair)
    shown = rows["pos_concept_id"].isin(kept) & rows["neg_concept_id"].isin(kept)
    return rows[shown | (rows["split"] != "train")]


def with_random_negatives(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    """Give each training row the negative side of a random row that is about neither of its concepts."""
    train, rng = rows[rows["split"] == "train"].sort_values("row_id"), np.random.default_rng(0)
    own = train[["pos_concept_id", "neg_concept_id"]].to_numpy()
    order = rng.permutation(len(train))

    def clash(place: int, donor: int) -> bool:
        return own[donor, 1] in own[place]

    for place in range(len(order)):  # swap until no row has its own concepts
        while clash(place, order[place]):
            other = int(rng.integers(len(order)))
            if not clash(place, order[other]) and not clash(other, order[place]):
                order[[place, other]] = order[[other, place]]
    columns = [f"neg_{field}" for field in SIDE]
    changed = train.copy()
    changed[columns] = train[columns].to_numpy()[order]
    return pd.concat([changed, rows[rows["split"] != "train"]])


def names_of(row: Mapping[Hashable, Any] | pd.Series) -> re.Pattern[str]:
    """Return what finds the names of a concept as whole words, longest first."""
    names = sorted((row["name"], *row["aliases"]), key=len, reverse=True)
    return re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names), re.IGNORECASE)


def _with_captions(rows: pd.DataFrame, write: Callable[[str, str], str]) -> pd.DataFrame:
    train = rows["split"] == "train"
    changed = rows.copy()
    for side in ("pos", "neg"):
        texts = zip(rows[f"{side}_concept_id"], rows[f"{side}_caption"], strict=True)
        written = pd.Series([write(*text) for text in texts], index=rows.index)
        changed[f"{side}_caption"] = written.where(train, rows[f"{side}_caption"])
    return changed


TRAININGS: Mapping[str, Rows] = {
    "today": same_rows,
    "captions without names": without_names,
    "definitions": with_definitions,
    "half of the concepts": of_half_the_concepts,
    "random negatives": with_random_negatives,
}
