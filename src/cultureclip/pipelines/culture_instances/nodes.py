"""Nodes of the culture-related instances."""

import logging
from typing import Any

import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.pipelines.culture_instances.parameters import CultureInstancesParameters

logger = logging.getLogger(__name__)


def ask_about_twins(
    concepts: pd.DataFrame,
    twins: pd.DataFrame,
    teacher_audit_store: KeyedStore,
    teacher_audit_prompt: dict[str, Any],
    parameters: CultureInstancesParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Ask which of some look-alikes is at home, as people of its culture and as nobody, and select what changes.

    Returns:
        Table CULTURE_INSTANCES; and counts, shares of right answers and the model's use.
    """
    from cultureclip.audit.culture_instances import build_instances, make_questions, summarise_instances
    from cultureclip.audit.questionnaires.asking import open_asker
    from cultureclip.audit.questionnaires.prompts import list_wordings
    from cultureclip.audit.questionnaires.survey import ask_survey, count_questions
    from cultureclip.concepts.exclusions import leave_out

    excluded = parameters.exclude.find(concepts)
    concepts, twins = (leave_out(table, excluded, "Culture instances") for table in (concepts, twins))
    questions = make_questions(concepts, twins, parameters.question, parameters.options, parameters.first)
    countries = {item: [country] for item, country in zip(questions["item"], questions["country"], strict=True)}
    asker = open_asker(parameters.language_model, teacher_audit_prompt, teacher_audit_store, parameters.seed, engine)
    count = count_questions(questions, countries, parameters.asking, len(list_wordings(asker.prompt)))
    logger.info("Culture instances by %s: %d questions about %d concepts", asker.model.name, count, len(questions))
    answers = ask_survey(questions, countries, parameters.asking, asker)
    instances = build_instances(answers, questions, parameters.statement)
    usage = asker.usage.to_metrics(parameters.language_model.prices)
    return instances, summarise_instances(instances) | {"usage": usage}


def pose_questions(
    culture_instances: pd.DataFrame, concepts: pd.DataFrame, parameters: CultureInstancesParameters
) -> pd.DataFrame:
    """Pose the hard negatives as a benchmark on held-out pictures: table CULTURE_RELATED."""
    from cultureclip.audit.culture_benchmark import pose_questions as pose

    return pose(culture_instances, concepts, parameters.statement, parameters.picture_size)
