"""Name bias: does a tuned model answer with a name that it was tuned on, whatever the picture shows?

Questions whose options are names of concepts are grouped by which of these names were in the training rows. Where it is
the right one alone, a biased model gains; where it is a wrong one alone, the same bias costs it. A model without bias
gains in both, or in neither.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.scoring.answers import read_answers
from cultureclip.scoring.groups import score_group
from cultureclip.scoring.models import BASE, read_names
from cultureclip.scoring.scores import plan_scores
from cultureclip.statistics import ClusteredItems
from cultureclip.tables import NAME_BIAS, NAME_GROUPS, make_table

RIGHT_ONLY, WRONG_ONLY, BOTH, NEITHER = NAME_GROUPS


def measure_name_bias(
    predictions: pd.DataFrame, names: Mapping[str, Mapping[str, Sequence[str]]], tuned: Collection[str], plain: str
) -> pd.DataFrame:
    """Score by which names were tuned on: accuracy of the base and every mean over seeds, also at update scales.

    Args:
        predictions: The predictions table.
        names: Benchmark -> item id -> names in its options, the right one first.
        tuned: Names in the training rows.
        plain: The objective of plain contrastive tuning.

    Returns:
        The table of name bias: a group without an item has no row, and so has a benchmark whose options are not names.

    Raises:
        SourceDataError: if the models did not answer the same items.
    """
    named = predictions[predictions["benchmark"].isin([name for name, items in names.items() if items])]
    plan = [model for model in plan_scores(read_names(predictions), plain) if model.name.seed is None]
    known = {name.casefold() for name in tuned}
    rows: list[dict[str, Any]] = []
    for answers in read_answers(named, {member for model in plan for member in model.members}):
        options = names[answers.benchmark]
        groups = np.array([_group_of(options[item], known) for item in answers.items.index])
        values = {str(model.name): answers.mean(model.members) for model in plan}
        for group in NAME_GROUPS:
            inside = groups == group
            if not inside.any():
                continue
            sample = ClusteredItems(answers.items["cluster"].to_numpy()[inside])
            common = {
                "benchmark": answers.benchmark,
                "metric": answers.metric,
                "part": answers.part,
                "tuned_on": group,
                "n": int(inside.sum()),
                "clusters": sample.count,
            }
            for model, own in values.items():
                reference = None if model == BASE else values[BASE][inside]
                rows.append(common | {"model": model} | score_group(sample, own[inside], reference))
    return make_table(rows, NAME_BIAS)


def tuned_names(cultwin: pd.DataFrame) -> set[str]:
    """Return the names of the concepts that training rows show, on either side."""
    rows = cultwin[cultwin["split"] == "train"]
    return {*rows["pos_concept"], *rows["neg_concept"]}


def _group_of(names: Sequence[str], known: Collection[str]) -> str:
    """Return the group of a question from the names in its options, the right one first."""
    right, *wrong = (name.casefold() in known for name in names)
    if right:
        return BOTH if any(wrong) else RIGHT_ONLY
    return WRONG_ONLY if any(wrong) else NEITHER
