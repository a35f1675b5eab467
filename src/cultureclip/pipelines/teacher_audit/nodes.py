"""Nodes of the audit."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.pipelines.teacher_audit.parameters import TeacherAuditParameters

if TYPE_CHECKING:
    from cultureclip.audit.questionnaires.asking import Asker
    from cultureclip.models.chat.settings import ChatSettings

logger = logging.getLogger(__name__)


def read_files(parameters: TeacherAuditParameters) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read everything that the user supplies before anything is asked.

    Returns:
        Table QUESTIONS; the published indices and the population, without a row where there is no file. Files of the
        other tasks are read to find their faults now.
    """
    from cultureclip.audit.measures.hofstede import INDICES
    from cultureclip.audit.measures.published import read_published
    from cultureclip.audit.questionnaires.population import POPULATION_COLUMNS, read_population
    from cultureclip.audit.questionnaires.questionnaire import read_questionnaire
    from cultureclip.audit.tasks.open_questions import read_open_questions
    from cultureclip.audit.tasks.triplets import read_triplets

    survey, matching, knowledge = parameters.survey, parameters.matching, parameters.knowledge
    questions = read_questionnaire(Path(survey.questionnaire))
    published, population = pd.DataFrame(columns=list(INDICES)), pd.DataFrame(columns=POPULATION_COLUMNS)
    if survey.published is not None:
        published = read_published(Path(survey.published), survey.countries)
    if survey.population is not None:
        population = read_population(Path(survey.population), questions, survey.countries)
    if matching is not None:
        read_triplets(Path(matching.file))
    if knowledge is not None:
        read_open_questions(Path(knowledge.file))
    return questions, published, population


def ask_survey(
    questions: pd.DataFrame,
    teacher_audit_store: KeyedStore,
    teacher_audit_prompt: dict[str, Any],
    parameters: TeacherAuditParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask the questionnaire.

    Returns:
        Table ANSWERS, and the model's use.
    """
    from cultureclip.audit.questionnaires import survey
    from cultureclip.audit.questionnaires.prompts import list_wordings

    asker = _open(parameters.language_model, teacher_audit_store, teacher_audit_prompt, parameters, engine)
    countries = dict.fromkeys(questions["item"], parameters.survey.countries)
    count = survey.count_questions(questions, countries, parameters.survey, len(list_wordings(asker.prompt)))
    logger.info("Audit of %s: %d survey questions", asker.model.name, count)
    answers = survey.ask_survey(questions, countries, parameters.survey, asker)
    return answers, asker.usage.to_metrics(parameters.language_model.prices)


def match_concepts(
    questions: pd.DataFrame,  # noqa: ARG001 - all files are read before anything is asked
    teacher_audit_store: KeyedStore,
    teacher_audit_prompt: dict[str, Any],
    parameters: TeacherAuditParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask CUNIT's triplets, and give the text tower the same task.

    Returns:
        A row per triplet and way of showing it, none if the task is left out; and the model's use.
    """
    from cultureclip.audit.tasks.matching import MATCH_COLUMNS
    from cultureclip.audit.tasks.matching_task import ask_matches
    from cultureclip.audit.tasks.triplets import read_triplets

    if parameters.matching is None:
        return pd.DataFrame(columns=[*MATCH_COLUMNS, "text_tower"]), {}
    asker = _open(parameters.language_model, teacher_audit_store, teacher_audit_prompt, parameters, engine)
    matches = ask_matches(read_triplets(Path(parameters.matching.file)), parameters.matching, asker)
    return matches, asker.usage.to_metrics(parameters.language_model.prices)


def answer_open_questions(
    questions: pd.DataFrame,  # noqa: ARG001
    teacher_audit_store: KeyedStore,
    teacher_audit_prompt: dict[str, Any],
    parameters: TeacherAuditParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Ask the open questions, and have the answers judged by their units and criticised.

    Returns:
        A row per question and a row per judged unit, none if the task is left out; and the use of both models.
    """
    from cultureclip.audit.tasks.knowledge_task import ANSWER_COLUMNS, UNIT_COLUMNS, ask_open_questions
    from cultureclip.audit.tasks.open_questions import read_open_questions

    settings = parameters.knowledge
    if settings is None:
        return pd.DataFrame(columns=list(ANSWER_COLUMNS)), pd.DataFrame(columns=list(UNIT_COLUMNS)), {}
    asker = _open(parameters.language_model, teacher_audit_store, teacher_audit_prompt, parameters, engine)
    judge = asker
    if settings.judge is not None:
        judge = _open(settings.judge, teacher_audit_store, teacher_audit_prompt, parameters, engine)
    answers, units = ask_open_questions(
        read_open_questions(Path(settings.file), settings.first), settings, asker, judge
    )
    usage = {"answers": asker.usage.to_metrics(parameters.language_model.prices)}
    if settings.judge is not None:
        usage["judge"] = judge.usage.to_metrics(settings.judge.prices)
    return answers, units, usage


def select_instances(answers: pd.DataFrame, questions: pd.DataFrame) -> pd.DataFrame:
    """Pair aware and unaware answers, and select the culture-related ones.

    Returns:
        A row per aware answer with its verdict, reason, question and options.
    """
    from cultureclip.audit.measures import awareness

    selected = awareness.select_instances(awareness.pair_answers(answers))
    return selected.merge(questions[["item", "question", "options"]], on="item", how="left")


def compare_distributions(
    answers: pd.DataFrame, population: pd.DataFrame, parameters: TeacherAuditParameters
) -> pd.DataFrame:
    """Measure how far the answers are from the population's: table DISTANCES, without a row if there is none."""
    from cultureclip.audit.measures.distances import compare_answers

    return compare_answers(answers, population, parameters.survey.smoothing, parameters.seed)


def summarise_audit(
    questions: pd.DataFrame,
    published: pd.DataFrame,
    population: pd.DataFrame,
    answers: pd.DataFrame,
    instances: pd.DataFrame,
    distances: pd.DataFrame,
    matches: pd.DataFrame,
    open_answers: pd.DataFrame,
    usage: dict[str, dict[str, Any]],
    parameters: TeacherAuditParameters,
) -> dict[str, Any]:
    """Compute the figures of the audit, with their intervals."""
    from cultureclip.audit import culture_summary, summary
    from cultureclip.audit.record import identify_model
    from cultureclip.models.chat.open import open_chat_model

    survey = parameters.survey
    metrics: dict[str, Any] = {
        "model": identify_model(parameters.language_model.model_dump(mode="json")),
        "fingerprint": open_chat_model(parameters.language_model).fingerprint,
        "files": {
            "questionnaire": survey.questionnaire,
            "published": survey.published,
            "population": survey.population,
        },
        "countries": list(survey.countries),
        "personas": dict(survey.personas),
        "survey": summary.summarise_answers(answers),
        "hofstede": culture_summary.summarise_indices(answers, questions, published, survey.indices),
        "change": culture_summary.summarise_change(instances),
        "alignment": culture_summary.summarise_alignment(answers, population),
        "distances": culture_summary.summarise_distances(distances),
        "matching": summary.summarise_matches(matches),
        "knowledge": summary.summarise_knowledge(open_answers),
        "usage": usage,
    }
    missing = metrics["survey"]["why_not"]
    if any(missing.values()):
        counts = ", ".join(f"{why} {count:,}" for why, count in missing.items() if count)
        total = sum(missing.values())
        logger.warning("Audit: %s of %s answers are no option: %s", f"{total:,}", f"{len(answers):,}", counts)
    return metrics


def render_audit(metrics: dict[str, Any], answers: pd.DataFrame, open_answers: pd.DataFrame) -> SiteFiles:
    """Write the page.

    Returns:
        A ``report.teacher_audit.AuditPage``.
    """
    from cultureclip.report.views.teacher_audit import AuditPage

    return AuditPage(metrics, answers, open_answers)


def gather_usage(
    survey_usage: dict[str, Any], match_usage: dict[str, Any], open_usage: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Put the model's use by task together."""
    return {"survey": survey_usage, "matching": match_usage, "knowledge": open_usage}


def _open(
    settings: "ChatSettings",
    store: KeyedStore,
    prompt: dict[str, Any],
    parameters: TeacherAuditParameters,
    engine: EngineSettings,
) -> "Asker":
    from cultureclip.audit.questionnaires.asking import open_asker

    return open_asker(settings, prompt, store, parameters.seed, engine)
