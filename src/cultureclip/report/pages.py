"""The pages: which ones a run has, and what each is given to show."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.charts import LineChart, draw_losses
from cultureclip.report.confusions_view import build_confusions
from cultureclip.report.data import ReportData, ReportSettings
from cultureclip.report.groups_view import build_groups
from cultureclip.report.name_bias_view import build_name_bias
from cultureclip.report.page import make_environment
from cultureclip.report.score_view import ScoreBlock, build_blocks, model_title
from cultureclip.report.stages import count_benchmarks, count_stages, other_figures
from cultureclip.report.summary import summarise
from cultureclip.report.trade_off import describe_model, draw_trade_off
from cultureclip.scoring.models import BASE, ModelName

CHART_SIZE = (460, 190)
TRADE_OFF_SIZE = (760, 380)
MAX_ITEMS_ON_A_LINE = 8
HEADER_FACTS = ("run id", "started", "git")
"""What of the manifest stands at the top of the overview; all of it is on the page about the run."""


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes:
        name: Its name in the menu.
        about: What it shows, in a sentence.
        content: What its template is given beside what all pages share.
    """

    name: str
    about: str
    content: Mapping[str, Any]


def render_pages(data: ReportData, settings: ReportSettings) -> dict[str, str]:
    """HTML by file name; each file has a template of its name. A page about nothing is left out, and so is its link."""
    answers = data.answers
    groups = build_groups(answers.group_scores, answers.cards, settings.proposed)
    confusions = build_confusions(
        answers.confusions, answers.predictions, answers.cards, answers.thumbnails, settings.proposed
    )
    abilities = answers.abilities[(answers.abilities["part"] == "test") & answers.abilities["seed"].isna()]
    pages = {
        "index.html": Page("Overview", "What was run and what came out.", _overview(data, settings)),
        "scores.html": Page("Scores", "Every model on every benchmark, with intervals.", _scores(data, settings)),
        "cultures.html": Page("Cultures", "Every culture and category, base beside tuned.", {"groups": groups}),
        "confusions.html": Page(
            "Confusions", "What the tuning fixes and what it breaks, with pictures.", {"confusions": confusions}
        ),
        "abilities.html": Page("Trade-off", "Culture against general ability.", _abilities(abilities)),
        "data.html": Page("Data", "What every stage took in, kept and refused, by reason.", _stages(data)),
        "training.html": Page("Training", "Loss curves, and the step that was kept.", _training(data, settings)),
        "gallery.html": Page("Gallery", "The twins with captions and pictures, kept and refused.", {}),
        "run.html": Page("Run", "Commit, parameters, versions and seeds.", _run(data)),
    }
    empty = {"cultures.html": not groups, "confusions.html": not confusions, "abilities.html": abilities.empty}
    pages = {file: page for file, page in pages.items() if not empty.get(file, False)}
    environment = make_environment()
    shared = {
        "pages": pages,
        "settings": settings,
        "proposed_title": model_title(settings.proposed),
        "plain_title": model_title(settings.plain),
        "twin_counts": _count_twins(data, settings),
        "licences": sorted(data.tables.cultwin["licence"].unique()),
        "sources": list(
            dict.fromkeys((card["source"], card["licence"]) for card in data.answers.cards if card["items"])
        ),
        "header_facts": [],
    }
    return {
        file: environment.get_template(f"{file}.j2").render({**shared, **page.content, "here": file})
        for file, page in pages.items()
    }


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


def _overview(data: ReportData, settings: ReportSettings) -> dict[str, Any]:
    blocks = _blocks(data, settings, "test")
    culture, general = _split(blocks, settings)
    facts, _ = describe_run(data.run)
    return {
        "headlines": _headlines(blocks),
        "summary": summarise(_headlines(culture), general, settings.proposed, settings.plain),
        "header_facts": [fact for fact in facts if fact[0] in HEADER_FACTS],
    }


def _scores(data: ReportData, settings: ReportSettings) -> dict[str, Any]:
    culture, general = _split(_blocks(data, settings, "test"), settings)
    dev = _blocks(data, settings, "dev")
    models = {line.model: line.title for block in dev for line in block.models}
    named = [
        model for model in (BASE, settings.plain, settings.proposed) if model in set(data.answers.name_bias["model"])
    ]
    return {
        "name_blocks": build_name_bias(data.answers.name_bias, data.answers.cards, named),
        "name_titles": [model_title(model) for model in named],
        "culture_blocks": culture,
        "general_blocks": general,
        "dev_blocks": dev,
        "dev_models": models,
        "cards": data.answers.cards,
        "leak_check": data.answers.leak_check,
    }


def _stages(data: ReportData) -> dict[str, Any]:
    return {
        "stages": [*count_stages(data.stages.metrics), *count_benchmarks(data.answers.cards)],
        "figures": other_figures(data.stages.metrics),
    }


def _training(data: ReportData, settings: ReportSettings) -> dict[str, Any]:
    return {"losses": _loss_charts(data.stages.logs, settings), "training": data.stages.training}


def _abilities(abilities: pd.DataFrame) -> dict[str, Any]:
    if abilities.empty:
        return {}
    titles = [describe_model(*point) for point in zip(abilities["objective"], abilities["scale"], strict=True)]
    return {
        "chart": draw_trade_off(abilities, TRADE_OFF_SIZE),
        "abilities": abilities.assign(title=titles).to_dict("records"),
    }


def _run(data: ReportData) -> dict[str, Any]:
    facts, details = describe_run(data.run)
    return {"facts": facts, "details": details}


def _count_twins(data: ReportData, settings: ReportSettings) -> dict[str, int]:
    twins = data.tables.twins
    return {
        "found": len(twins),
        "shown": min(len(twins), settings.gallery_twins),
        "accepted": int((twins["verdict"] == "accepted").sum()),
        "kept": int(data.tables.cultwin["twin_id"].nunique()),
    }


def _blocks(data: ReportData, settings: ReportSettings, part: str) -> list[ScoreBlock]:
    return build_blocks(
        data.answers.scores, data.answers.cards, part=part, plain=settings.plain, proposed=settings.proposed
    )


def _split(blocks: Sequence[ScoreBlock], settings: ReportSettings) -> tuple[list[ScoreBlock], list[ScoreBlock]]:
    """Blocks about culture, and blocks about general ability."""
    general = [block for block in blocks if block.benchmark in settings.general]
    return [block for block in blocks if block.benchmark not in settings.general], general


def _headlines(blocks: Sequence[ScoreBlock]) -> list[ScoreBlock]:
    """The first metric of every benchmark."""
    return list({block.benchmark: block for block in reversed(blocks)}.values())[::-1]


def _loss_charts(logs: Mapping[ModelName, Sequence[Mapping[str, Any]]], settings: ReportSettings) -> list[LineChart]:
    """One chart an objective (their losses have different scales), one line a seed."""
    by_objective: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = defaultdict(dict)
    for model, log in logs.items():
        by_objective[model.objective]["run" if model.seed is None else f"seed {model.seed}"] = log
    order = sorted(by_objective, key=lambda o: (o == settings.proposed, o != settings.plain, o))
    return [draw_losses(model_title(objective), by_objective[objective], CHART_SIZE) for objective in order]
