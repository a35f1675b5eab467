"""Curves of several trainings side by side."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from cultureclip.clip.training.training_log import LogRow, best_row

_PANELS = (("loss", "training loss"), ("dev_loss", "dev loss"), ("dev_accuracy", "dev twin accuracy"))


def loss_curves(logs: Mapping[str, list[LogRow]], objectives: Mapping[str, str]) -> go.Figure:
    """Draw one line per training in three panels: loss on batches, loss and accuracy on dev twins, over steps.

    Losses of different objectives are sums over different candidates: their heights do not compare.

    Args:
        logs: By name of the training.
        objectives: Objective of each training; trainings of one objective share a colour.
    """
    figure = make_subplots(rows=1, cols=len(_PANELS), subplot_titles=[title for _, title in _PANELS])
    coloured = list(dict.fromkeys(objectives[name] for name in logs))
    for name, log in logs.items():
        colour = qualitative.Plotly[coloured.index(objectives[name]) % len(qualitative.Plotly)]
        for column, (field, _) in enumerate(_PANELS, start=1):
            points = [(row["step"], row[field]) for row in log if field in row]
            line = go.Scatter(
                x=[step for step, _ in points],
                y=[value for _, value in points],
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                mode="lines",
                line={"color": colour},
            )
            figure.add_trace(line, row=1, col=column)
    figure.update_xaxes(title_text="step")
    return figure.update_layout(height=380, margin={"t": 40, "b": 40})


def training_metrics(logs: Mapping[str, list[LogRow]], select_by: Mapping[str, str]) -> dict[str, Any]:
    """Return training -> rows used, the chosen step with its figures, and the same figures of the base."""
    return {
        name: {
            "data": {field: log[0][field] for field in ("train_rows", "dev_rows", "unreadable_images", "cut_texts")},
            "base": _dev(log[0]),
            "chosen": {"step": best_row(log, select_by[name])["step"], **_dev(best_row(log, select_by[name]))},
            "last": {field: log[-1][field] for field in ("step", "loss", "accuracy", "scale", "twins_per_second")},
        }
        for name, log in logs.items()
    }


def _dev(row: LogRow) -> dict[str, float]:
    return {field: value for field, value in row.items() if field.startswith("dev_") and field != "dev_rows"}
