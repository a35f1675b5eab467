"""The scores as one table of text, at most 100 columns wide: what a run prints at its end."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cultureclip.report.markdown import to_markdown
from cultureclip.report.views.score_view import ScoreBlock, build_blocks
from cultureclip.scoring.abilities import CULTURE, GENERAL, GENERAL_FIRST, headline_model
from cultureclip.scoring.models import BASE

NOTE = """\
Test items, per cent. "To base" is in points, with a 95 % interval; * where the interval excludes 0,
before any correction for the number of benchmarks. MDD: the difference that four of five such
evaluations would find. "Out": items of dev and test left out; benchmark_cards has the reasons.
Culture: the mean of the other benchmarks' main metrics. General: the mean over all metrics of the
benchmarks of general ability, and over those that count the first place alone (R@1, accuracy).
"""
_ABILITIES = {CULTURE: "Culture", GENERAL: "General", GENERAL_FIRST: "General, first place"}
_Row = tuple[str, str, str, str, str]


def tabulate_scores(
    scores: pd.DataFrame, abilities: pd.DataFrame, cards: Sequence[Mapping[str, Any]], *, plain: str, proposed: str
) -> str:
    """Build a Markdown table: per benchmark a heading and one row per model (means over seeds), then the abilities.

    The scale of the update that the rule chose has rows of its own.

    Args:
        scores: The scores table.
        abilities: The abilities table.
        cards: Cards of the benchmarks, in the order of the rows.
        plain: The objective of plain contrastive tuning.
        proposed: The objective that comes last.
    """
    headlines = [str(headline_model(abilities, objective)[0]) for objective in (plain, proposed)]
    blocks = build_blocks(scores, cards, part="test", plain=headlines[0], proposed=headlines[1])
    main = list({block.benchmark: block for block in reversed(blocks)}.values())[::-1]
    left_out = {card["name"]: sum(card["left_out"].values()) for card in cards}
    models = list(dict.fromkeys(line.model for block in main for line in block.models))
    rows = [row for block in main for row in _benchmark_rows(block, left_out[block.benchmark])]
    rows += _ability_rows(abilities[abilities["part"] == "test"], models)
    table = pd.DataFrame(rows, columns=["benchmark, model", "n (out)", "score", "to base", "MDD"])
    return f"{to_markdown(table.set_index('benchmark, model'))}\n{NOTE}"


def _benchmark_rows(block: ScoreBlock, left_out: int) -> Iterator[_Row]:
    yield f"{block.title} {block.metric}", f"{block.n:,} ({left_out:,})", "", "", ""
    for line in block.models:
        change = line.to_base
        shown = "" if change is None else _show(change.value, change.low, change.high)
        detectable = "" if change is None or math.isnan(change.detectable) else f"{change.detectable:.1f}"
        yield line.model, "", f"{100 * line.value:.1f}", shown, detectable


def _ability_rows(abilities: pd.DataFrame, models: list[str]) -> Iterator[_Row]:
    chosen = abilities[abilities["chosen"]]["model"]
    rows = abilities[abilities["model"].isin([*models, *chosen])].to_dict("records")
    for ability, title in _ABILITIES.items():
        measured = [row for row in rows if not math.isnan(row[ability])]
        if measured:
            yield title, "", "", "", ""
        for row in measured:
            change = [100 * row[f"{ability}_change{end}"] for end in ("", "_low", "_high")]
            shown = "" if row["model"] == BASE else _show(*change)
            yield row["model"] + (", chosen" if row["chosen"] else ""), "", f"{100 * row[ability]:.1f}", shown, ""


def _show(difference: float, low: float, high: float) -> str:
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f}){'*' if low > 0 or high < 0 else ''}"
