"""Nodes of the benchmarks that chat models are asked."""

import logging
from typing import Any

import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.pipelines.ask_benchmarks.parameters import AskBenchmarksParameters
from cultureclip.pipelines.evaluation.entries import check_benchmarks, check_names
from cultureclip.scoring.models import BASE, ModelName, label_rows

logger = logging.getLogger(__name__)


def draw_asked_benchmarks(
    concepts: pd.DataFrame, twins: pd.DataFrame, parameters: AskBenchmarksParameters
) -> dict[str, Any]:
    """Draw held-out pictures of the concepts and pose questions about them.

    Returns:
        The listed pocket benchmarks, by name.
    """
    from cultureclip.benchmarks.pocket import collect_pocket
    from cultureclip.concepts.exclusions import leave_out

    excluded = parameters.exclude.find(concepts)
    concepts, twins = (leave_out(table, excluded, "Asking") for table in (concepts, twins))
    made = collect_pocket(concepts, twins, parameters.image_size, parameters.benchmarks)
    return {benchmark.name: benchmark for benchmark in made}


def collect_asked_benchmarks(
    parameters: AskBenchmarksParameters, **entries: Any
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Take in every benchmark that is listed.

    Args:
        parameters: The list.
        entries: Name -> ``Benchmark``, or ``AbsentBenchmark`` if its files are missing.

    Returns:
        The benchmarks that something can be asked of, and the cards of all.

    Raises:
        ConfigurationError: if the list is not the one that the pipeline was built for, or an entry's name differs.
    """
    from cultureclip.benchmarks.excluded import without_excluded
    from cultureclip.benchmarks.published import AbsentBenchmark

    check_benchmarks(list(entries), parameters.benchmarks, "ask_benchmarks")
    check_names({listed: entry.name for listed, entry in entries.items()}, ())
    entries = {name: without_excluded(entry, parameters.exclude) for name, entry in entries.items()}
    for name, entry in entries.items():
        if entry.card()["status"] != "ready":
            logger.warning("Benchmark %s is %s", name, entry.card()["status"])
    asked = [entry for entry in entries.values() if not isinstance(entry, AbsentBenchmark) and entry.size]
    return asked, [entry.card() for entry in entries.values()]


def ask_models(
    benchmarks: list[Any],
    cards: list[dict[str, Any]],
    ask_benchmarks_store: KeyedStore,
    ask_benchmarks_prompt: dict[str, Any],
    parameters: AskBenchmarksParameters,
    engine: EngineSettings = HERE,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Ask every model every question.

    Returns:
        Predictions; the answers in words, with why some do not count; and counts by benchmark, model and metric, with
        the cards of the benchmarks and the models' use.

    Raises:
        SourceDataError: if nothing can be asked.
        ConfigurationError: if a model that reads text alone would be shown pictures.
    """
    from cultureclip.benchmarks.asking.evaluate import ask_all
    from cultureclip.benchmarks.asking.turns import read_asking_prompt

    models = {BASE: parameters.base_model} | parameters.models
    prompt = read_asking_prompt(ask_benchmarks_prompt)
    rows, answers, counts = ask_all(models, benchmarks, prompt, ask_benchmarks_store, parameters, engine)
    names = [ModelName(name) for name in models]
    metrics = counts | {"cards": cards, "prompt_id": prompt.id}
    return label_rows(pd.DataFrame(rows), names), answers, metrics


def score_asked(
    predictions: pd.DataFrame, cards: list[dict[str, Any]], parameters: AskBenchmarksParameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return values, intervals and paired differences to the base of every model, benchmark and metric.

    Returns:
        Scores, and scores of each culture and category.
    """
    from cultureclip.scoring.scores import score_all_groups, score_predictions
    from cultureclip.scoring.settings import ScoringSettings

    hashes = {card["name"]: card["data_hash"] for card in cards}
    settings = ScoringSettings(
        plain_objective=BASE, proposed_objective=BASE, resamples=parameters.resamples, seed=parameters.seed
    )
    return score_predictions(predictions, hashes, settings), score_all_groups(predictions, BASE)
