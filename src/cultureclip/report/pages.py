"""The pages: which ones a run has, and what each is given to show."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.charts import LineChart, draw_losses
from cultureclip.report.data import ReportData, ReportSettings
from cultureclip.report.page import make_environment
from cultureclip.report.rule import Headlines, compare_parts, pick_headlines
from cultureclip.report.views.confusions_view import build_confusions
from cultureclip.report.views.forgetting_view import build_forgetting
from cultureclip.report.views.groups_view import build_groups
from cultureclip.report.views.name_bias_view import NameBlock, build_name_bias
from cultureclip.report.views.run_view import describe_run, describe_start
from cultureclip.report.views.score_view import ScoreBlock, build_blocks, mean_recalls
from cultureclip.report.views.stages import count_benchmarks, count_stages, other_figures
from cultureclip.report.views.summary import say_name_bias, summarise, warn_of_few
from cultureclip.report.views.trade_off import draw_trade_off
from cultureclip.report.words import model_title
from cultureclip.scoring.models import BASE, ModelName

CHART_SIZE = (460, 190)
TRADE_OFF_SIZE = (760, 380)


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
    """Write HTML by file name; each file has a template of its name. A page about nothing is left out, and its link."""
    answers = data.answers
    headlines = pick_headlines(answers.abilities, settings)
    own = headlines.proposed
    groups = build_groups(answers.group_scores, answers.cards, own)
    confusions = build_confusions(answers.confusions, answers.predictions, answers.cards, answers.thumbnails, own)
    abilities = answers.abilities[(answers.abilities["part"] == "test") & answers.abilities["seed"].isna()]
    pages = {
        "index.html": Page("Overview", "What was run and what came out.", _overview(data, settings, headlines)),
        "scores.html": Page(
            "Scores", "Every model on every benchmark, with intervals.", _scores(data, settings, headlines)
        ),
        "cultures.html": Page("Cultures", "Every culture and category, base beside tuned.", {"groups": groups}),
        "confusions.html": Page(
            "Confusions", "What the tuning fixes and what it breaks, with pictures.", {"confusions": confusions}
        ),
        "abilities.html": Page(
            "Trade-off", "Culture against general ability.", _abilities(data, settings, headlines, abilities)
        ),
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
        "headlines": headlines,
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


def _overview(data: ReportData, settings: ReportSettings, headlines: Headlines) -> dict[str, Any]:
    culture, general = _split(_blocks(data, headlines, "test"), settings)
    main = _main(culture)
    names = _name_blocks(data, [BASE, headlines.proposed])
    return {
        "culture": main,
        "general": _main(general),
        "mean_recalls": mean_recalls(culture + general),
        "summary": summarise(main, general, headlines.proposed, headlines.plain),
        "warnings": warn_of_few(main, _count_twins(data, settings)["kept"]),
        "name_bias": say_name_bias(names, headlines.proposed),
        "abilities": compare_parts(data.answers.abilities, headlines.proposed, settings.max_general_loss),
        "header_facts": describe_start(data.run),
    }


def _scores(data: ReportData, settings: ReportSettings, headlines: Headlines) -> dict[str, Any]:
    culture, general = _split(_blocks(data, headlines, "test"), settings)
    dev = _blocks(data, headlines, "dev")
    measured = set(data.answers.name_bias["model"])
    named = [model for model in dict.fromkeys((BASE, headlines.plain, headlines.proposed)) if model in measured]
    return {
        "name_blocks": _name_blocks(data, named),
        "name_titles": [model_title(model) for model in named],
        "culture_blocks": culture,
        "general_blocks": general,
        "main": [*_main(culture), *_main(general)],
        "abilities": compare_parts(data.answers.abilities, headlines.proposed, settings.max_general_loss),
        "dev_blocks": dev,
        "dev_models": {line.model: line.title for block in dev for line in block.models},
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


def _abilities(
    data: ReportData, settings: ReportSettings, headlines: Headlines, abilities: pd.DataFrame
) -> dict[str, Any]:
    if abilities.empty:
        return {}
    measured = set(data.answers.scores["model"])
    shown = [model for model in dict.fromkeys((headlines.plain, headlines.proposed)) if model in measured]
    return {
        "chart": draw_trade_off(abilities, TRADE_OFF_SIZE),
        "abilities": abilities.assign(title=abilities["model"].map(model_title)).to_dict("records"),
        "forgotten": build_forgetting(
            data.answers.scores, data.answers.group_scores, data.answers.cards, settings.general, shown
        ),
        "forgotten_titles": [model_title(model) for model in shown],
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


def _blocks(data: ReportData, headlines: Headlines, part: str) -> list[ScoreBlock]:
    return build_blocks(
        data.answers.scores, data.answers.cards, part=part, plain=headlines.plain, proposed=headlines.proposed
    )


def _name_blocks(data: ReportData, models: Sequence[str]) -> list[NameBlock]:
    return build_name_bias(data.answers.name_bias, data.answers.cards, models)


def _split(blocks: Sequence[ScoreBlock], settings: ReportSettings) -> tuple[list[ScoreBlock], list[ScoreBlock]]:
    """Split blocks into those about culture and those about general ability."""
    general = [block for block in blocks if block.benchmark in settings.general]
    return [block for block in blocks if block.benchmark not in settings.general], general


def _main(blocks: Sequence[ScoreBlock]) -> list[ScoreBlock]:
    """Keep the first metric of every benchmark."""
    return list({block.benchmark: block for block in reversed(blocks)}.values())[::-1]


def _loss_charts(logs: Mapping[ModelName, Sequence[Mapping[str, Any]]], settings: ReportSettings) -> list[LineChart]:
    """Draw one chart per objective (their losses have different scales), one line per seed."""
    by_objective: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = defaultdict(dict)
    for model, log in logs.items():
        by_objective[model.objective]["run" if model.seed is None else f"seed {model.seed}"] = log
    order = sorted(by_objective, key=lambda o: (o == settings.proposed, o != settings.plain, o))
    return [draw_losses(model_title(objective), by_objective[objective], CHART_SIZE) for objective in order]
