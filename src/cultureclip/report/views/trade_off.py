"""Culture score against general score: the table of abilities as a chart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.report.charts import nice_ticks
from cultureclip.report.words import model_title
from cultureclip.scoring.models import BASE

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLOURS = 6
"""Colours of the style sheet, ``c0`` to ``c5``."""


@dataclass(frozen=True)
class Point:
    """A model's place and interval, in pixels, and the percentage of resamples in which it is Pareto-optimal."""

    label: str
    colour: int
    x: float
    x_low: float
    x_high: float
    y: float
    y_low: float
    y_high: float
    chosen: bool
    optimal: int


@dataclass(frozen=True)
class ScatterChart:
    """A scatter chart with its ticks, in pixels of its own view box; ``front`` joins the models none is better than."""

    title: str
    width: int
    height: int
    x_label: str
    y_label: str
    names: tuple[tuple[str, int], ...]
    points: tuple[Point, ...]
    front: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def draw_trade_off(abilities: pd.DataFrame, size: tuple[int, int]) -> ScatterChart:
    """Change of the general score to the right, of the culture score up, in points; one colour per objective.

    Changes are paired with the base, so their intervals are narrower than those of two scores side by side.

    Args:
        abilities: Rows of one part of the table of abilities.
        size: Width and height in pixels.
    """
    width, height = size
    changes = {f"{a}_change{s}" for a in ("culture", "general") for s in ("", "_low", "_high")}
    points = abilities.assign(**{name: 100 * abilities[name] for name in changes})
    x_ticks = nice_ticks(points["general_change_low"].min(), points["general_change_high"].max(), 4)
    y_ticks = nice_ticks(points["culture_change_low"].min(), points["culture_change_high"].max(), 4)
    colours = {name: number % COLOURS for number, name in enumerate(dict.fromkeys(points["objective"]))}

    def x(value: float) -> float:
        return round(width * (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]), 1)

    def y(value: float) -> float:
        return round(height * (1 - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])), 1)

    drawn = tuple(
        Point(
            model_title(str(row["model"])),
            colours[row["objective"]],
            x(row["general_change"]),
            x(row["general_change_low"]),
            x(row["general_change_high"]),
            y(row["culture_change"]),
            y(row["culture_change_low"]),
            y(row["culture_change_high"]),
            bool(row["chosen"]),
            round(100 * row["front_probability"]),
        )
        for row in points.to_dict("records")
    )
    front = points[points["on_front"]].sort_values(["general_change", "culture_change"])
    return ScatterChart(
        "Change of the culture score by change of the general score",
        width,
        height,
        "general, points above the base",
        "culture, points above the base",
        tuple((model_title(name), colour) for name, colour in colours.items()),
        drawn,
        " ".join(f"{x(g)},{y(c)}" for g, c in zip(front["general_change"], front["culture_change"], strict=True)),
        tuple((x(tick), f"{tick:g}") for tick in x_ticks),
        tuple((y(tick), f"{tick:g}") for tick in y_ticks),
    )


def draw_abilities(abilities: pd.DataFrame, part: str = "test") -> "Figure":
    """Draw culture over general score: one line per objective through its scales, 95 % intervals, the choice a star.

    Args:
        abilities: The table of abilities; means over seeds are drawn, single seeds are not.
        part: ``dev`` or ``test``.
    """
    import plotly.graph_objects as go

    of_part = abilities[abilities["part"] == part]
    shown = of_part[of_part["seed"].isna()]
    base = shown[shown["model"] == BASE]
    figure = go.Figure()
    for objective, own in shown.groupby("objective", sort=False):
        # Lines of scales begin at the base, which is their scale 0.
        is_scaled = objective != BASE and own["scale"].nunique() > 1
        line = (pd.concat([base, own]) if is_scaled else own).sort_values("scale")
        figure.add_scatter(
            x=line["general"],
            y=line["culture"],
            name=model_title(str(objective)),
            mode="lines+markers",
            error_x=_bars(line, "general"),
            error_y=_bars(line, "culture"),
            marker={
                "symbol": ["star" if chosen else "circle" for chosen in line["chosen"]],
                "size": [16 if chosen else 9 for chosen in line["chosen"]],
                "line": {"width": [2 if front else 0 for front in line["on_front"]]},
            },
            text=[
                f"{model_title(model)}, Pareto-optimal in {sure:.0%} of resamples"
                for model, sure in line[["model", "front_probability"]].to_numpy()
            ],
        )
    figure.update_xaxes(title_text="general score", tickformat=".0%")
    figure.update_yaxes(title_text="culture score", tickformat=".0%")
    return figure.update_layout(height=520, margin={"t": 40, "b": 40})


def _bars(points: pd.DataFrame, ability: str) -> dict[str, Any]:
    return {
        "array": points[f"{ability}_high"] - points[ability],
        "arrayminus": points[ability] - points[f"{ability}_low"],
        "thickness": 1,
    }
