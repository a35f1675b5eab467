"""Pandera schemas of every table that crosses a stage border, checked by the catalog when the table is saved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

CATEGORIES = (
    "Cuisine",
    "Clothing",
    "Animals & Plants",
    "Art",
    "Architecture",
    "Daily Life",
    "Symbol",
    "Festival",
)
"""The eight categories of the paper."""

EVAL_ONLY, NO_REDISTRIBUTE = "eval_only", "no_redistribute"
TERMS = ("train", EVAL_ONLY, NO_REDISTRIBUTE)
SPLITS = ("train", "dev")
VERDICTS = ("accepted", "rejected", "failed")
SIDES = ("pos", "neg")
"""Beginnings of the names of a twin's columns."""
NEGATIVE_COLUMNS = tuple(f"{side}_hard_negative" for side in SIDES)
"""Columns that a training adds: a text that is false of a side's image, null where there is none."""


def _text(nullable: bool = False) -> pa.Column:
    return pa.Column(str, nullable=nullable)


def _id(unique: bool = False) -> pa.Column:
    return pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{20}$"), unique=unique)


def _list(non_empty: bool = True) -> pa.Column:
    check = pa.Check(lambda cell: len(cell) > 0, element_wise=True, error="empty list")
    return pa.Column(object, check if non_empty else None)


def _one_of(*values: str, nullable: bool = False) -> pa.Column:
    return pa.Column(str, pa.Check.isin(values), nullable=nullable)


def _score(low: float, high: float) -> pa.Column:
    return pa.Column(float, pa.Check.in_range(low, high), nullable=True, coerce=True)


def _grade() -> pa.Column:
    return pa.Column("Int64", pa.Check.in_range(1, 5), nullable=True)


def _table(columns: dict[str, pa.Column], unique: list[str] | None = None) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, strict=True, ordered=False, unique=unique)


def make_table(rows: Sequence[Mapping[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Make a table of rows with the schema's columns, which have their types even without a row."""
    table = pd.DataFrame(rows, columns=list(schema.columns))
    return table if rows else table.astype({name: column.dtype.type for name, column in schema.columns.items()})


_MODEL = {
    "model": _text(),  # the next three as text
    "objective": _text(),  # for the base and for models from elsewhere their name
    "seed": pa.Column("Int64", pa.Check.ge(0), nullable=True),  # null for means over seeds, the base and others' models
    "scale": pa.Column(float, pa.Check.in_range(0, 1)),  # applied share of the update; 1: all of it
}

CONCEPTS = _table(
    {
        "concept_id": _id(unique=True),
        "name": _text(),
        "cultures": _list(),  # sorted ISO 3166-1 alpha-2 codes or region ids
        "universal": _text(),
        "category": _one_of(*CATEGORIES),
        "context": _text(),
        "key_visual_features": _list(non_empty=False),  # empty where a source gives none: then there is no picture
        "aliases": _list(non_empty=False),
        "source": _text(),
        "source_ref": _text(),
        "licence": _text(),
        "terms": _one_of(*TERMS),
        "reference_image": _text(nullable=True),  # "emoji:<char>" for pocket, else a path
    }
)

CONCEPT_SOURCES = _table(
    {
        "concept_id": _id(),
        "kind": _text(),  # of the source: atlas, csv, wit, ...
        "place": _text(),  # file and line
        "joined_by": _one_of("new", "wikidata", "name", "alias", "similar"),  # why it is a row of this concept
        "name": _text(),
        "language": _text(nullable=True),
        "cultures": _list(non_empty=False),
        "category": _text(),  # the owner's
        "source_ref": _text(),
        "licence": _text(),
        "terms": _one_of(*TERMS),
        "wikidata": _text(nullable=True),
        "picture_url": _text(nullable=True),
        "picture_licence": _text(nullable=True),
        "reference_images": _list(non_empty=False),  # files that the row names, or a scheme's reference
    }
)

TWINS = _table(
    {
        "twin_id": _id(unique=True),
        "a_concept_id": _id(),
        "b_concept_id": _id(),
        "a_name": _text(),
        "b_name": _text(),
        "category": _one_of(*CATEGORIES),
        "visual_similarity": _score(-1, 1),
        "cultural_overlap": _score(0, 1),
        "score": _score(-2, 2),
        "method": _one_of("llm", "two_axis", "curated", "imported"),
        "evidence": _text(),  # JSON: shared look, differing features; of a twin also its best rejected candidates
        "split": _one_of(*SPLITS, nullable=True),  # null for rows that are not twins
        "verdict": _one_of(*VERDICTS),
        "reason": _text(nullable=True),  # e.g. indistinguishable
        "review": _one_of("accepted", "rejected", nullable=True),  # what most people say who have reviewed the pair
    }
)

TWIN_REVIEWS = _table(
    {
        "twin_id": _id(),
        "a_concept_id": _id(),
        "b_concept_id": _id(),
        "reviewer": _text(),
        "decision": _one_of("accepted", "rejected", nullable=True),  # null: a comment alone
        "comment": _text(),  # may be empty
        "decided_at": _text(),  # UTC, ISO 8601
    },
    unique=["twin_id", "reviewer"],
)

CULTURE_YIELDS = _table(
    {
        "culture": _text(),
        **{
            step: pa.Column(int, pa.Check.ge(0))  # concepts of the culture that are left
            for step in ("concepts", "with_picture", "distinct", "allowed", "considered", "passed", "in_twins")
        },
        "coverage": _score(0, 1),  # of the culture by its concepts in twins; null for a culture without a picture
    },
    unique=["culture"],
)

CAPTIONS = _table(
    {
        "caption_id": _id(unique=True),
        "twin_id": _id(),
        "concept_id": _id(),
        "kind": _text(),
        "language": _text(),  # ISO 639-1
        "text": _text(nullable=True),
        "english": _text(nullable=True),  # the text, or its translation: what is checked and drawn
        "model": _text(),
        "revision": _text(nullable=True),
        "prompt_id": _text(),
        "seed": pa.Column(int),
        "tries": pa.Column(int, pa.Check.ge(1)),
        "checks": _text(),  # JSON: what each check saw: words, features, context, culture, units, precision, recall
        "verdict": _one_of(*VERDICTS),
        "reason": _text(nullable=True),
    }
)

IMAGE_REQUESTS = _table(
    {
        "image_id": _id(unique=True),
        "caption_id": _id(),
        "prompt": _text(),
        "k": pa.Column(int, pa.Check.ge(0)),
        "seed": pa.Column(int),
        "shard": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]+$")),
    }
)

JUDGEMENTS = _table(
    {
        "image_id": _id(),
        "judge": _text(),  # "decision": whether the image is used
        "caption_id": _id(),
        **{name: _score(1, 5) for name in ("authenticity", "consistency", "cultural_fidelity")},
        **{f"{name}_reason": _text(nullable=True) for name in ("authenticity", "consistency", "cultural_fidelity")},
        "clip_similarity": _score(-1, 1),  # to its own concept
        "twin_similarity": _score(-1, 1),
        "chance_similarity": _score(-1, 1),  # mean over all concepts
        "near_similarity": _score(-1, 1),  # to the nearest image of another concept
        "text": _text(nullable=True),  # read in the image
        "safety": _score(0, 1),
        "entity_id": _text(nullable=True),  # what the judge of attribution sees in the image
        "culture_grade": _score(1, 5),  # of that entity, the best over the cultures of the image's concept
        "duplicate_of": _text(nullable=True),
        "verdict": _one_of(*VERDICTS),
        "reason": _text(nullable=True),
        "cause": _text(nullable=True),  # of a failure, in words
    },
    unique=["image_id", "judge"],
)

CULTWIN = _table(
    {
        "row_id": _id(unique=True),
        "twin_id": _id(),
        "split": _one_of(*SPLITS),
        **{
            f"{side}_{field}": column
            for side in SIDES
            for field, column in {
                "concept": _text(),
                "concept_id": _id(),
                "caption": _text(),
                "caption_id": _id(),
                "image_id": _id(),
            }.items()
        },
        "licence": _text(),
    }
)

IMPORTED_ROWS = _table(
    {
        "place": _text(),  # file and line, row or key, as the owner counts
        "row_id": pa.Column(str, nullable=True),  # of an accepted row
        "verdict": _one_of(*VERDICTS),
        "reason": _text(nullable=True),
    }
)

WHY_NO_GRADE = ("no_text", "unreadable", "unparsable", "cut_off", "refused", "no_probabilities")
"""Why a grade is null: nothing is known of the entity; the image cannot be read; the answer; the backend."""

ATTRIBUTIONS = _table(
    {
        "image_id": _id(),
        "entity_id": _text(nullable=True),  # what the image was linked to; null if it cannot be read
        "label": _text(),  # a culture, as configured
        "grade_generated": _grade(),  # as the model wrote it
        "reason": _text(nullable=True),  # the model's words
        "why_not_generated": _one_of(*WHY_NO_GRADE, nullable=True),
        "grade_likeliest": _grade(),  # the likeliest of the digits 1 to 5 as the first token
        "grade_expected": _score(1, 5),  # mean of the digits by their probabilities
        "digit_mass": _score(0, 1.000001),  # probability of the five digits among all tokens
        "why_not_likeliest": _one_of(*WHY_NO_GRADE, nullable=True),
        "prompt_id": _text(),
        "model": _text(),
        "revision": _text(),
    },
    unique=["image_id", "label"],
)

PREDICTIONS = _table(
    {
        "benchmark": _text(),
        **_MODEL,
        "item_id": _text(),
        "cluster": _text(),  # the concept shown: items of one cluster are not independent
        "part": _one_of("dev", "test"),
        "options": _list(),
        "scores": _list(),
        "predicted": pa.Column(int),
        "correct": _score(0, 1),
        "image": _text(),  # key of the picture asked about; empty if the question is about a text
        "culture": _text(),  # empty if the item has none
        "category": _text(),
    },
    unique=["benchmark", "model", "item_id"],
)

WHY_NO_ANSWER = ("cut_off", "refused", "unparsable")
"""Why a chat model's answer to a benchmark does not count."""

CHAT_ANSWERS = _table(
    {
        "benchmark": _text(),
        "model": _text(),
        "item_id": _text(),
        "text": _text(),  # as the model wrote it
        "why_not": _one_of(*WHY_NO_ANSWER, nullable=True),  # null: it counts
    },
    unique=["benchmark", "model", "item_id"],
)

SCORES = _table(
    {
        "benchmark": _text(),
        **_MODEL,
        "metric": _text(),
        "part": _one_of("dev", "test"),
        "value": _score(0, 1),
        "ci_low": _score(0, 1),
        "ci_high": _score(0, 1),
        "n": pa.Column(int, pa.Check.ge(0)),
        "clusters": pa.Column(int, pa.Check.ge(0)),
        "seeds": _list(non_empty=False),
        "seed_std": _score(0, 1),  # over seeds, of a mean over at least two
        "seed_low": _score(0, 1),  # the least seed
        "seed_high": _score(0, 1),
        "undecided": _score(0, 1),  # share of items whose best two options are closer than noise
        "reference": _text(nullable=True),  # the model that the difference is taken to
        "difference": _score(-1, 1),
        "diff_low": _score(-1, 1),
        "diff_high": _score(-1, 1),
        "detectable": _score(0, np.inf),  # true difference that four of five such evaluations would find
        "p_value": _score(0, 1),  # sign flips of concepts
        "p_holm": _score(0, 1),  # the same, corrected for all benchmarks and metrics
        "mcnemar_p": _score(0, 1),
        "mcnemar_n": pa.Column(int, pa.Check.ge(0)),  # items in that test
        "mcnemar_excluded": pa.Column(int, pa.Check.ge(0)),  # items with partial credit or without a majority
        "data_hash": _text(),
    }
)

GROUP_SCORES = _table(
    {
        "benchmark": _text(),
        "model": _text(),
        "metric": _text(),
        "part": _one_of("dev", "test"),
        "axis": _one_of("culture", "category"),
        "group": _text(),
        "value": _score(0, 1),
        "ci_low": _score(0, 1),
        "ci_high": _score(0, 1),
        "n": pa.Column(int, pa.Check.ge(1)),
        "clusters": pa.Column(int, pa.Check.ge(1)),
        "difference": _score(-1, 1),  # to the base; null for the base
        "diff_low": _score(-1, 1),
        "diff_high": _score(-1, 1),
        "rank": pa.Column("Int64", pa.Check.ge(1), nullable=True),  # 1 is the worst; null for groups too small to rank
    },
    unique=["benchmark", "model", "metric", "part", "axis", "group"],
)

NAME_GROUPS = ("right only", "wrong only", "both", "neither")
"""Which names in a question's options were tuned on: the right one and no wrong one, the other way round, ..."""

NAME_BIAS = _table(
    {
        "benchmark": _text(),
        "metric": _text(),
        "part": _one_of("dev", "test"),
        "tuned_on": _one_of(*NAME_GROUPS),
        "model": _text(),
        "n": pa.Column(int, pa.Check.ge(1)),
        "clusters": pa.Column(int, pa.Check.ge(1)),
        "value": _score(0, 1),
        "ci_low": _score(0, 1),
        "ci_high": _score(0, 1),
        "difference": _score(-1, 1),  # to the base; null for the base
        "diff_low": _score(-1, 1),
        "diff_high": _score(-1, 1),
    },
    unique=["benchmark", "metric", "part", "tuned_on", "model"],
)

CONFUSIONS = _table(
    {
        "benchmark": _text(),
        "model": _text(),  # the objective compared with the base
        "metric": _text(),
        "part": _one_of("dev", "test"),
        "kind": _one_of("fixed", "broken"),  # only the base confuses the two, or only the model does
        "right": _text(),
        "wrong": _text(),
        "n": pa.Column(int, pa.Check.ge(1)),  # answers (item x seed) of this kind
        "asked": pa.Column(int, pa.Check.ge(1)),  # answers to questions that offer this wrong option for this right one
        "items": _list(),  # ids, the clearest first
        "images": _list(),  # their pictures' keys
        "base_margin": _score(-2, 2),  # mean over n: cosine of the right option less the wrong one's
        "model_margin": _score(-2, 2),
    },
    unique=["benchmark", "model", "metric", "part", "kind", "right", "wrong"],
)

ASKED_PICTURES = _table(
    {
        "key": _text(),  # as predictions and confusions name a picture
        "thumbnail": pa.Column(object, pa.Check(lambda cell: isinstance(cell, bytes), element_wise=True)),  # JPEG
    },
    unique=["key"],
)

_ABILITIES = ("culture", "general", "general_first")

ABILITIES = _table(
    {
        "part": _one_of("dev", "test"),
        "model": _text(),
        "objective": _text(),
        "seed": _MODEL["seed"],
        "scale": _score(0, 1),  # of the update: 0 is the base
        "seeds": _list(non_empty=False),
        # general_first: general ability by the best candidate alone, such as R@1; null if there is none
        **{f"{ability}{suffix}": _score(0, 1) for ability in _ABILITIES for suffix in ("", "_low", "_high")},
        **{
            f"{ability}_{suffix}": _score(-1, 1)
            for ability in _ABILITIES
            for suffix in ("change", "change_low", "change_high")  # to the base
        },
        "on_front": pa.Column(bool),  # nothing else is at least as good at both and better at one
        "front_probability": _score(0, 1),  # share of resamples of concepts in which it is
        "chosen": pa.Column(
            bool
        ),  # of its objective's scales the best at culture, both general losses in the limit, on dev
    },
    unique=["part", "model"],
)
