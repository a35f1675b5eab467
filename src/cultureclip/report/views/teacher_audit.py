"""The page of an audit: whose culture a chat model answers by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import pandas as pd

from cultureclip.report.charts import nice_ticks
from cultureclip.report.page import make_environment

TEMPLATE = "teacher_audit.html.j2"
INDEX_TITLES = {
    "pdi": "Power distance",
    "idv": "Individualism",
    "mas": "Masculinity",
    "uai": "Uncertainty avoidance",
    "lto": "Long-term orientation",
    "ivr": "Indulgence",
}
REASONS = {
    "refused": "refused",
    "cut_off": "cut off at the limit of tokens",
    "out_of_range": "a number that no option has",
    "unparsable": "no option",
    "aware_unread": "the answer as a person of the country was not read",
    "unaware_unread": "the answer as nobody in particular was not read",
    "same_answer": "the country changed nothing",
    "not_repeated": "nothing tells how stable the answer is",
    "not_stable": "the answer as nobody in particular changes by itself",
    "no_answer": "no answer",
    "not_asked": "no persona of this stratum",
    "no_units": "no list of units",
}
_STYLE = "static/style.css"
_WIDTH, _ROW = 460, 22
_MOST_SHOWN = 12


@dataclass(frozen=True)
class IndexLine:
    """A country's index as a line of a chart, in pixels.

    Attributes:
        country: The country.
        y: Height of the line.
        x: The model's index; None where it has none.
        low: Lower end of its interval; None without one.
        high: Upper end.
        published: The published index; None if not known.
        label: The figures in words.
    """

    country: str
    y: float
    x: float | None
    low: float | None
    high: float | None
    published: float | None
    label: str


@dataclass(frozen=True)
class IndexChart:
    """One of Hofstede's indices over the countries.

    Attributes:
        title: Its name.
        lines: A line per country.
        ticks: (pixel, label) of the axis.
        width: Of the plot, pixels.
        height: Likewise.
        tau: How the model ranks the countries, in words; empty without published indices.
    """

    title: str
    lines: tuple[IndexLine, ...]
    ticks: tuple[tuple[float, str], ...]
    width: int
    height: int
    tau: str


@dataclass(frozen=True)
class AuditPage:
    """A folder with one page, ``index.html``, that opens from disk.

    Attributes:
        metrics: Figures of the audit.
        answers: Table ANSWERS: answers that could not be read are shown.
        open_answers: A row per open question.
    """

    metrics: Mapping[str, Any]
    answers: pd.DataFrame
    open_answers: pd.DataFrame

    def files(self) -> Iterator[tuple[str, bytes]]:
        """The page and its style sheet, as (path, content)."""
        yield _STYLE, files("cultureclip.report").joinpath(_STYLE).read_bytes()
        unread = self.answers[self.answers["why_not"].notna()]
        opened = self.open_answers.astype(object).where(self.open_answers.notna(), None)
        text = (
            make_environment()
            .get_template(TEMPLATE)
            .render(
                metrics=self.metrics,
                model=self.metrics["model"].get("path") or self.metrics["model"].get("model"),
                charts=draw_indices(self.metrics["hofstede"]),
                reasons=REASONS,
                unread=unread.head(_MOST_SHOWN).to_dict("records"),
                unread_count=len(unread),
                opened=opened.head(_MOST_SHOWN).to_dict("records"),
            )
        )
        # A lone surrogate in hostile text cannot be written as UTF-8: it becomes a question mark.
        yield "index.html", text.encode("utf-8", "replace")


def draw_indices(hofstede: Mapping[str, Any] | None) -> list[IndexChart]:
    """Draw a chart per index, all on one axis; none if the questionnaire has no items of the indices."""
    if hofstede is None:
        return []
    rows = hofstede["indices"]
    numbers = [row[name] for row in rows for name in ("value", "low", "high", "published") if row[name] is not None]
    if not numbers:
        return []
    ticks = nice_ticks(min(numbers), max(numbers), 6)
    return [
        _draw_index(index, [row for row in rows if row["index"] == index], ticks, hofstede) for index in INDEX_TITLES
    ]


def _draw_index(
    index: str, rows: Sequence[Mapping[str, Any]], ticks: Sequence[float], hofstede: Mapping[str, Any]
) -> IndexChart:
    def x(number: float | None) -> float | None:
        return None if number is None else round(_WIDTH * (number - ticks[0]) / (ticks[-1] - ticks[0]), 1)

    lines = tuple(
        IndexLine(
            country=row["country"],
            y=_ROW * (place + 0.5),
            x=x(row["value"]),
            low=x(row["low"]),
            high=x(row["high"]),
            published=x(row["published"]),
            label=_say_index(row),
        )
        for place, row in enumerate(rows)
    )
    axis = tuple((x(tick) or 0.0, f"{tick:g}".replace("-", "\N{MINUS SIGN}")) for tick in ticks)
    tau = "" if hofstede["tau"] is None else _say_tau(hofstede["tau"][index])
    return IndexChart(INDEX_TITLES[index], lines, axis, _WIDTH, _ROW * len(rows), tau)


def _say_index(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return "no answer to one of its items"
    said = f"{row['value']:.0f}"
    if row["low"] is not None:
        said += f" ({row['low']:.0f} to {row['high']:.0f})"
    if row["published"] is not None:
        said += f", published {row['published']:.0f}"
    return said.replace("-", "\N{MINUS SIGN}")


def _say_tau(tau: Mapping[str, Any]) -> str:
    if tau["value"] is None:
        return f"tau: none, the {tau['countries']} countries have no order"
    said = f"tau {tau['value']:.2f}"
    if tau["low"] is not None:
        said += f" ({tau['low']:.2f} to {tau['high']:.2f})"
    return f"{said}, {tau['countries']} countries".replace("-", "\N{MINUS SIGN}")
