"""Counts of every stage: in, kept and refused by reason, from the stages' metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cultureclip.report.words import value_in_words

_COUNTS = ("in", "kept", "rejected")
_UNITS = {
    "mining": "pairs of pictures",
    "captioning": "captions",
    "synthesis": "pictures",
    "filtering": "generated pictures",
}
"""Stage -> the noun that its counts are of."""


@dataclass(frozen=True)
class StageCount:
    """One line of the funnel; ``rejected`` is by reason, most frequent first, and ``unit`` what is counted."""

    stage: str
    entered: int
    kept: int
    rejected: tuple[tuple[str, int], ...]
    unit: str = ""

    @property
    def refused(self) -> int:
        """How many were rejected or failed."""
        return sum(count for _, count in self.rejected)


def count_stages(metrics: Mapping[str, Mapping[str, Any]]) -> list[StageCount]:
    """Return one line for every stage, in order; a stage may give several under ``stages``.

    Args:
        metrics: Stage -> its metrics: ``in``, ``kept`` and ``rejected`` (reason -> count), or ``stages``, a list of
            such records with a ``stage`` each. A stage without counts has no line.
    """
    lines = []
    for stage, record in metrics.items():
        for part in record.get("stages") or [{"stage": stage, **record}]:
            if all(name in part for name in _COUNTS):
                reasons = sorted(part["rejected"].items(), key=lambda item: (-item[1], item[0]))
                name = str(part["stage"])
                unit = _UNITS.get(name, "")
                lines.append(StageCount(name, int(part["in"]), int(part["kept"]), tuple(reasons), unit))
    return lines


def count_benchmarks(cards: Iterable[Mapping[str, Any]]) -> list[StageCount]:
    """Return one line per benchmark: items that could be asked, and those that were left out by reason."""
    return [
        StageCount(
            card["title"],
            card["items"] + sum(card["left_out"].values()),
            card["items"],
            tuple(sorted(card["left_out"].items(), key=lambda item: (-item[1], item[0]))),
            "questions",
        )
        for card in cards
    ]


def other_figures(metrics: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """(stage, figure, value) of everything else that a stage measured and that is one number or one word."""
    return [
        (stage, name, _format(value))
        for stage, record in metrics.items()
        for name, value in record.items()
        if name not in _COUNTS and isinstance(value, bool | int | float | str)
    ]


def _format(value: bool | float | str) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else value_in_words(value)
