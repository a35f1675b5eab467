"""The scores in one table of text: what a run prints in the end."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cultureclip.benchmarks.score_view import ScoreBlock, build_blocks
from cultureclip.benchmarks.scores import split_instance, split_scale

NOTE = (
    "Test items, per cent; in brackets the difference to the base in points, with its 95 % interval; * where that "
    "excludes 0, before any correction for the number of benchmarks. Culture is the mean of the other benchmarks' main "
    "metrics, general the mean over all metrics of general ability."
)


def tabulate_scores(
    scores: pd.DataFrame, abilities: pd.DataFrame, cards: Sequence[Mapping[str, Any]], *, plain: str, proposed: str
) -> str:
    """A Markdown table: a line a model (means over seeds), a column a benchmark's main metric, then both abilities.

    Args:
        scores: The scores table.
        abilities: The abilities table.
        cards: Cards of the benchmarks, in the order of the columns.
        plain: The objective of plain contrastive tuning.
        proposed: The objective that comes last.
    """
    blocks = build_blocks(scores, cards, part="test", plain=plain, proposed=proposed)
    main = list({block.benchmark: block for block in reversed(blocks)}.values())[::-1]
    models = list(dict.fromkeys(line.model for block in main for line in block.models))
    of_test = abilities[abilities["part"] == "test"].set_index("model")
    rows = {
        model: {
            **{f"{block.title} {block.metric} (n {block.n})": _cell(block, model) for block in main},
            **{ability: _ability(of_test, model, ability) for ability in ("culture", "general")},
        }
        for model in models
        if split_instance(model)[1] is None and split_scale(model)[1] is None
    }
    return pd.DataFrame.from_dict(rows, orient="index").to_markdown() + f"\n\n{NOTE}\n"


def _cell(block: ScoreBlock, model: str) -> str:
    line = block.of(model)
    if line is None:
        return ""
    change = line.to_base
    return _show(100 * line.value, None if change is None else (change.value, change.low, change.high))


def _ability(abilities: pd.DataFrame, model: str, ability: str) -> str:
    if model not in abilities.index:
        return ""
    row = abilities.loc[model].to_dict()
    change = tuple(100 * float(row[f"{ability}_change{end}"]) for end in ("", "_low", "_high"))
    return _show(100 * float(row[ability]), change if row["seeds"] else None)


def _show(value: float, change: tuple[float, ...] | None) -> str:
    if change is None:
        return f"{value:.1f}"
    difference, low, high = change
    return f"{value:.1f} ({difference:+.1f} [{low:+.1f}, {high:+.1f}]{'*' if low > 0 or high < 0 else ''})"
