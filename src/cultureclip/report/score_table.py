"""The scores in one table of text: what a run prints in the end."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cultureclip.report.markdown import to_markdown
from cultureclip.report.score_view import ScoreBlock, build_blocks
from cultureclip.scoring.models import BASE

NOTE = (
    "Test items, per cent; in brackets the difference to the base in points, with its 95 % interval; * where that "
    "excludes 0, before any correction for the number of benchmarks; MDD is the difference that four of five such "
    "evaluations would find. Left out: items of either part, by reason in benchmark_cards. Culture is the mean of the "
    "other benchmarks' main metrics, general the mean over all metrics of general ability."
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
    left_out = {card["name"]: sum(card["left_out"].values()) for card in cards}
    of_test = abilities[abilities["part"] == "test"].set_index("model")
    rows = {
        model: {
            **{_head(block, left_out[block.benchmark]): _cell(block, model) for block in main},
            **{ability: _ability(of_test, model, ability) for ability in ("culture", "general")},
        }
        for model in models
    }
    return f"{to_markdown(pd.DataFrame.from_dict(rows, orient='index'))}\n{NOTE}\n"


def _head(block: ScoreBlock, left_out: int) -> str:
    return f"{block.title} {block.metric} (n {block.n}, {left_out} left out)"


def _cell(block: ScoreBlock, model: str) -> str:
    line = block.of(model)
    if line is None:
        return ""
    change = line.to_base
    if change is None:
        return _show(100 * line.value, None)
    detectable = "" if math.isnan(change.detectable) else f" MDD {change.detectable:.1f}"
    return _show(100 * line.value, (change.value, change.low, change.high)) + detectable


def _ability(abilities: pd.DataFrame, model: str, ability: str) -> str:
    if model not in abilities.index:
        return ""
    row = abilities.loc[model].to_dict()
    change = tuple(100 * float(row[f"{ability}_change{end}"]) for end in ("", "_low", "_high"))
    return _show(100 * float(row[ability]), None if model == BASE else change)


def _show(value: float, change: tuple[float, ...] | None) -> str:
    if change is None:
        return f"{value:.1f}"
    difference, low, high = change
    return f"{value:.1f} ({difference:+.1f} [{low:+.1f}, {high:+.1f}]{'*' if low > 0 or high < 0 else ''})"
