"""Geometry of the report's charts: numbers in, SVG coordinates out. The drawing itself is in the templates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_POINTS = 400


@dataclass(frozen=True)
class Line:
    """One polyline of a chart."""

    label: str
    points: str
    last: float


@dataclass(frozen=True)
class LineChart:
    """A small line chart with its ticks, in pixels of its own view box."""

    title: str
    width: int
    height: int
    lines: tuple[Line, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]


def draw_losses(title: str, logs: Mapping[str, Sequence[Mapping[str, Any]]], size: tuple[int, int]) -> LineChart:
    """Draw loss over steps, one line per run.

    Records without a finite ``loss`` and ``step`` (summaries, say) are not part of the curve.

    Args:
        title: Title of the chart.
        logs: Label of a run -> its training log.
        size: Width and height in pixels.
    """
    curves = {label: _curve(log) for label, log in logs.items()}
    curves = {label: curve for label, curve in curves.items() if curve}
    width, height = size
    if not curves:
        return LineChart(title, width, height, (), (), ())
    steps = [step for curve in curves.values() for step, _ in curve]
    losses = [loss for curve in curves.values() for _, loss in curve]
    x_ticks = nice_ticks(0.0, max(steps), 4)
    y_ticks = nice_ticks(min(losses), max(losses), 3)

    def x(step: float) -> float:
        return width * step / x_ticks[-1]

    def y(loss: float) -> float:
        return height * (1 - (loss - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]))

    return LineChart(
        title,
        width,
        height,
        tuple(
            Line(label, " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in curve), curve[-1][1])
            for label, curve in curves.items()
        ),
        tuple((x(tick), f"{tick:g}") for tick in x_ticks),
        tuple((y(tick), f"{tick:g}") for tick in y_ticks),
    )


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) that cover [low, high] in about ``count`` steps."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= span / count)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, max(last, first + 1) + 1)]


def _curve(log: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    points = [
        (float(record["step"]), float(record["loss"]))
        for record in log
        if record.get("step") is not None and record.get("loss") is not None and math.isfinite(record["loss"])
    ]
    stride = math.ceil(len(points) / MAX_POINTS) or 1
    return points[::stride]
