"""Nodes of the reporting stage."""

from typing import Any

import pandas as pd
from pydantic import ValidationError

from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import MissingInputError
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.reporting.parameters import ReportingParameters
from cultureclip.report.data import Answers, GalleryTables, ReportData, ReportSettings, StageRecords

Cards = list[dict[str, Any]]
Run = dict[str, Any]
"""Output of ``evaluation.describe_evaluation``."""
Log = list[dict[str, Any]]
EVALUATE_AGAIN = "Evaluate again: kedro run --pipelines=evaluation"


def tabulate_scores(scores: pd.DataFrame, abilities: pd.DataFrame, cards: Cards, evaluation_run: Run) -> str:
    """Return the main figures as a Markdown table, which a run prints at its end."""
    from cultureclip.report.exports.score_table import tabulate_scores as tabulate

    settings = _settings_of(evaluation_run)
    return tabulate(scores, abilities, cards, plain=settings.plain_objective, proposed=settings.proposed_objective)


def export_results(
    scores: pd.DataFrame, group_scores: pd.DataFrame, predictions: pd.DataFrame, cards: Cards, evaluation_run: Run
) -> SiteFiles:
    """Return scores as ``report.results.Results``: JSON that CLIP_benchmark's users can read."""
    from cultureclip.report.exports.results import RunFacts, make_results

    settings = _settings_of(evaluation_run)
    facts = RunFacts(
        evaluation_run["run_id"],
        settings.base_model,
        settings.models,
        evaluation_run["settings"],
        evaluation_run["packages"],
        (evaluation_run["git"] or {}).get("commit"),
    )
    return make_results(scores, group_scores, predictions, cards, facts)


def gather_answers(
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    group_scores: pd.DataFrame,
    confusions: pd.DataFrame,
    abilities: pd.DataFrame,
    name_bias: pd.DataFrame,
    cards: Cards,
    leak_check: dict[str, Any],
    asked_pictures: pd.DataFrame,
) -> Answers:
    """Group the evaluation's outputs."""
    thumbnails = dict(zip(asked_pictures["key"], asked_pictures["thumbnail"], strict=True))
    return Answers(predictions, scores, group_scores, confusions, abilities, name_bias, cards, leak_check, thumbnails)


def gather_twins(
    concepts: pd.DataFrame,
    twins: pd.DataFrame,
    captions: pd.DataFrame,
    image_requests: pd.DataFrame,
    judgements: pd.DataFrame,
    cultwin: pd.DataFrame,
) -> GalleryTables:
    """Group the tables of the stages before the training."""
    return GalleryTables(concepts, twins, captions, image_requests, judgements, cultwin)


def gather_stages(
    mining: dict[str, Any],
    captioning: dict[str, Any],
    synthesis: dict[str, Any],
    filtering: dict[str, Any],
    training: dict[str, Any],
    **logs: Log,
) -> StageRecords:
    """Group the stages' metrics and the training logs (by model name)."""
    from cultureclip.scoring.models import ModelName

    metrics = {"mining": mining, "captioning": captioning, "synthesis": synthesis, "filtering": filtering}
    return StageRecords(metrics, training, {ModelName.parse(name): log for name, log in logs.items()})


def render_report(
    answers: Answers,
    tables: GalleryTables,
    stages: StageRecords,
    images: ImageSource,
    thumbnails: KeyedStore,
    evaluation_run: Run,
    parameters: ReportingParameters,
) -> SiteFiles:
    """Return the whole run as a ``report.site.Site``.

    Args:
        answers: Outputs of the evaluation.
        tables: The tables of the stages before the training.
        stages: Notes of the stages about themselves.
        images: The generated images.
        thumbnails: Thumbnails of earlier reports.
        evaluation_run: Which run evaluated, and how.
        parameters: Settings of the report.

    Raises:
        MissingInputError: if another version of the code evaluated.
    """
    from cultureclip.benchmarks.references import name_references
    from cultureclip.report.site import Site

    how = _settings_of(evaluation_run)
    concepts, twins = tables.concepts, tables.twins
    twinned = concepts["concept_id"].isin([*twins["a_concept_id"], *twins["b_concept_id"]])
    references = name_references(concepts[twinned], how.image_size)
    settings = ReportSettings(
        plain=how.plain_objective,
        proposed=how.proposed_objective,
        general=how.general_benchmarks,
        max_general_loss=how.max_general_loss,
        gallery_twins=parameters.gallery_twins,
    )
    _check_abilities(answers.abilities)
    _check_groups(answers, settings)
    return Site(ReportData(answers, tables, stages, images, references, evaluation_run, thumbnails), settings)


def _check_groups(answers: Answers, settings: ReportSettings) -> None:
    """Make sure that groups were scored of the model that the report is about: else pages would be missing unsaid.

    Raises:
        MissingInputError: if only all of its update was scored, as earlier versions of the code did.
    """
    from cultureclip.report.rule import pick_headlines

    own = pick_headlines(answers.abilities, settings).proposed
    measured = set(answers.group_scores["model"])
    if settings.proposed in measured and own not in measured:
        cause = f"it has no scores of {own} by culture: another version of the code wrote it"
        raise MissingInputError("group_scores", cause, EVALUATE_AGAIN)


def _check_abilities(abilities: pd.DataFrame) -> None:
    """Make sure that the abilities have the columns that pages show.

    Raises:
        MissingInputError: if they lack some, because another version of the code evaluated.
    """
    from cultureclip.tables import ABILITIES

    if missing := [column for column in ABILITIES.columns if column not in abilities]:
        cause = f"it has no column {', '.join(missing)}: another version of the code wrote it"
        raise MissingInputError("abilities", cause, EVALUATE_AGAIN)


def _settings_of(evaluation_run: Run) -> EvaluationParameters:
    """Read the parameters that the evaluation ran with: those of today's config may be others.

    Raises:
        MissingInputError: if another version of the code wrote them.
    """
    try:
        return EvaluationParameters.model_validate(evaluation_run["settings"])
    except ValidationError as error:
        cause = f"another version of the code wrote it ({error.errors()[0]['msg']})"
        raise MissingInputError("evaluation_run", cause, EVALUATE_AGAIN) from error
