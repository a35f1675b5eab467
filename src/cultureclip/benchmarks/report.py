"""The report: one self-contained HTML page, rendered from templates that escape everything they are given."""

import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cultureclip.benchmarks import general_retrieval
from cultureclip.benchmarks.charts import LineChart, draw_losses
from cultureclip.benchmarks.gallery import GalleryTables, ImageSource, build_gallery
from cultureclip.benchmarks.score_view import build_blocks, model_title
from cultureclip.benchmarks.scores import split_instance
from cultureclip.benchmarks.stages import count_benchmarks, count_stages, other_figures

CHART_SIZE = (460, 190)
MAX_ITEMS_ON_A_LINE = 8
HEADER_FACTS = ("run id", "started", "git")
"""What of the manifest stands at the top of the page; all of it is at the end."""
_BIDI_CONTROLS = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


@dataclass(frozen=True)
class ReportSettings:
    """What the report is told by configuration.

    Attributes:
        plain: Objective of plain contrastive tuning.
        proposed: Objective that the report is about.
        gallery_twins: How many twins the gallery shows.
    """

    plain: str
    proposed: str
    gallery_twins: int


@dataclass(frozen=True)
class ReportData:
    """Everything that the page shows.

    Attributes:
        scores: The scores table.
        predictions: The predictions table.
        cards: Cards of the benchmarks, in order.
        leak_check: What the check for held-out data compared.
        tables: The stages' tables.
        images: Generated images.
        pictures: Held-out pictures by concept id.
        metrics: Stage -> its metrics, in the order of the flow.
        training: Model -> rows used, chosen step, dev figures of the base and of the chosen step.
        logs: Model -> its training log.
        manifest: What was run: versions, commit, parameters.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    cards: Sequence[Mapping[str, Any]]
    leak_check: Mapping[str, Any]
    tables: GalleryTables
    images: ImageSource
    pictures: Mapping[str, np.ndarray]
    metrics: Mapping[str, Mapping[str, Any]]
    training: Mapping[str, Mapping[str, Any]]
    logs: Mapping[str, Sequence[Mapping[str, Any]]]
    manifest: Mapping[str, Any]


def render_report(data: ReportData, settings: ReportSettings) -> str:
    """Render the page.

    Returns:
        HTML that loads nothing from anywhere.
    """
    views = {
        part: build_blocks(
            data.scores, data.predictions, data.cards, part=part, plain=settings.plain, proposed=settings.proposed
        )
        for part in ("test", "dev")
    }
    facts, details = describe_run(data.manifest)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            settings=settings,
            proposed_title=model_title(settings.proposed),
            plain_title=model_title(settings.plain),
            culture_blocks=[block for block in views["test"] if block.benchmark != general_retrieval.NAME],
            general_blocks=[block for block in views["test"] if block.benchmark == general_retrieval.NAME],
            headlines=_headlines(views["test"]),
            dev_blocks=views["dev"],
            cards=data.cards,
            leak_check=data.leak_check,
            stages=[*count_stages(data.metrics), *count_benchmarks(data.cards)],
            figures=other_figures(data.metrics),
            training=data.training,
            losses=_loss_charts(data.logs, settings),
            twins=build_gallery(data.tables, data.images, data.pictures, settings.gallery_twins),
            twin_counts={
                "accepted": int((data.tables.twins["verdict"] == "accepted").sum()),
                "kept": int(data.tables.cultwin["twin_id"].nunique()),
            },
            header_facts=[fact for fact in facts if fact[0] in HEADER_FACTS],
            facts=facts,
            details=details,
        )
    )


def describe_run(manifest: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A manifest as (label, value) for what fits on a line and (label, JSON) for what is larger."""
    facts, details = [], []
    for name, value in manifest.items():
        label = name.replace("_", " ")
        line = _one_line(value)
        if line is None:
            details.append((label, json.dumps(value, indent=2, ensure_ascii=False, default=str)))
        elif line:
            facts.append((label, line))
    return facts, details


def _one_line(value: Any) -> str | None:
    """A scalar, a list of scalars or a short mapping of scalars as text; None for anything larger."""
    items = list(value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ())
    if any(isinstance(item, Mapping | list | tuple) for item in items) or len(items) > MAX_ITEMS_ON_A_LINE:
        return None
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, items)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def _headlines(blocks: Sequence[Any]) -> list[Any]:
    """The first metric of every benchmark."""
    return list({block.benchmark: block for block in reversed(blocks)}.values())[::-1]


def _loss_charts(logs: Mapping[str, Sequence[Mapping[str, Any]]], settings: ReportSettings) -> list[LineChart]:
    """One chart an objective (their losses have different scales), one line a seed."""
    by_objective: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = defaultdict(dict)
    for model, log in logs.items():
        objective, seed = split_instance(model)
        by_objective[objective]["run" if seed is None else f"seed {seed}"] = log
    order = sorted(by_objective, key=lambda o: (o == settings.proposed, o != settings.plain, o))
    return [draw_losses(model_title(objective), by_objective[objective], CHART_SIZE) for objective in order]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cultureclip.benchmarks"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "points": _points, "p_value": _p_value, "shorten": _shorten}
    return environment


def _show_controls(value: Any) -> Any:
    """Replace control and direction-changing characters, which HTML cannot hold or which would reorder the page."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if c in _BIDI_CONTROLS or (unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t")
        else c
        for c in value
    )


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def _points(value: float) -> str:
    """A difference in points, with its sign; a true minus."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0.0"


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"
