"""Nodes of the evaluation stage."""

import logging
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from cultureclip.clip.contracts import SavedCheckpoint
from cultureclip.drawings import Chart
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.engine.temporary import scratch_folder
from cultureclip.errors import ConfigurationError
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.evaluation.entries import check_benchmarks, check_names
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.scoring.models import BASE, ModelName, label_rows

# Kedro reads these hints when it checks parameters, so they cannot name types whose modules are imported lazily.
Benchmarks = list[Any]
"""``benchmarks.benchmark.Benchmark`` objects."""
_READ_AT_ONCE = 256

logger = logging.getLogger(__name__)


def draw_pocket_benchmarks(
    concepts: pd.DataFrame, twins: pd.DataFrame, parameters: EvaluationParameters
) -> dict[str, Any]:
    """Draw held-out pictures of the concepts and pose questions about them.

    Returns:
        The listed pocket benchmarks, by name.
    """
    from cultureclip.benchmarks.pocket import collect_pocket
    from cultureclip.benchmarks.protocols.items import Variant
    from cultureclip.concepts.exclusions import leave_out

    first: Variant = "as_released" if 10 in parameters.as_released else "as_published"
    excluded = parameters.exclude.find(concepts)
    concepts, twins = (leave_out(table, excluded, "Evaluation") for table in (concepts, twins))
    made = collect_pocket(concepts, twins, parameters.image_size, parameters.benchmarks, first, parameters.twin_text)
    return {benchmark.name: benchmark for benchmark in made}


def collect_benchmarks(parameters: EvaluationParameters, **entries: Any) -> tuple[Benchmarks, list[dict[str, Any]]]:
    """Take in every benchmark that is listed.

    Args:
        parameters: The list.
        entries: Name -> ``Benchmark``, or ``AbsentBenchmark`` if its files are missing.

    Returns:
        The benchmarks that something can be asked of, and the cards of all: also of an absent or an empty one.

    Raises:
        ConfigurationError: if the list is not the one that the pipeline was built for, an entry's name differs from the
            list's, or a benchmark of general ability is unknown.
    """
    from cultureclip.benchmarks.excluded import without_excluded
    from cultureclip.benchmarks.published import AbsentBenchmark

    check_benchmarks(list(entries), parameters.benchmarks)
    check_names({listed: entry.name for listed, entry in entries.items()}, parameters.general_benchmarks)
    entries = {name: without_excluded(entry, parameters.exclude) for name, entry in entries.items()}
    cards = [entry.card() for entry in entries.values()]
    for card in cards:
        if card["status"] != "ready":
            logger.warning(
                "Benchmark %s is %s: %s", card["name"], card["status"], card.get("looked_for") or card["left_out"]
            )
        for reason, count in card["changed"].items():
            logger.info("Benchmark %s: %d items of %d: %s", card["name"], count, card["items"], reason)
    return [entry for entry in entries.values() if not isinstance(entry, AbsentBenchmark) and entry.size], cards


def check_leaks(
    benchmarks: Benchmarks,
    cultwin: pd.DataFrame,
    images: ImageSource,
    general_pairs: pd.DataFrame,
    parameters: EvaluationParameters,
) -> tuple[Benchmarks, dict[str, Any]]:
    """Stop the run when training has seen what a benchmark holds out.

    Returns:
        The benchmarks unchanged, and the counts of the comparison.
    """
    from cultureclip.benchmarks.held_out import check_held_out
    from cultureclip.concepts.general_pairs import PairPictures

    trained = sorted({*cultwin["pos_image_id"], *cultwin["neg_image_id"]})
    replayed = PairPictures(general_pairs, parameters.image_size)
    found = check_held_out(
        benchmarks,
        cultwin,
        read_all(images, trained),
        read_all(replayed, replayed.ids),
        parameters.near_duplicate_bits,
    )
    return benchmarks, found


def evaluate_models(
    benchmarks: Benchmarks,
    cards: list[dict[str, Any]],
    parameters: EvaluationParameters,
    engine: EngineSettings = HERE,
    **checkpoints: SavedCheckpoint,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Answer every question with the base, every further model and every one tuned here, also at scales of its update.

    Args:
        benchmarks: The questions.
        cards: Cards of all listed benchmarks.
        parameters: Locations of the base, further models and the cached embeddings.
        engine: Where models embed, and shared with whom.
        checkpoints: Model name -> the tuned model.

    Returns:
        Predictions; and the cards as asked, less the items about pictures that turned out to be unreadable.

    Raises:
        ConfigurationError: if a checkpoint was tuned from another base, or a further model has an objective's name.
    """
    from cultureclip.benchmarks.embedding.embeddings import check_bases
    from cultureclip.benchmarks.evaluate import answer_benchmarks
    from cultureclip.models.weights.locate import locate

    tuned = {ModelName.parse(name): checkpoint for name, checkpoint in checkpoints.items()}
    objectives = {name.objective for name in tuned}
    taken = parameters.models.keys() & objectives
    if taken:
        raise ConfigurationError(f"evaluation.models.{min(taken)}", "this is an objective's name", "Rename the model")
    if checkpoints:
        _warn_of_untrained(objectives, parameters)
        bases = {name: checkpoint.card.base_fingerprint for name, checkpoint in checkpoints.items()}
        check_bases(locate(parameters.base_model), bases)
    models: dict[ModelName, str | Path] = {ModelName(BASE): parameters.base_model}
    models |= {ModelName(name): location for name, location in parameters.models.items()}
    models |= {name: checkpoint.merged_path for name, checkpoint in tuned.items()}
    cache = Path(parameters.embedding_cache)
    with scratch_folder(cache / "scaled" if engine.kind == "ray" else None) as folder:  # other machines read it
        models |= _write_scaled(tuned, parameters, folder)
        places = {str(name): place for name, place in models.items()}
        rows, asked = answer_benchmarks(places, benchmarks, cache, parameters, engine)
    after = {benchmark.name: benchmark.card() for benchmark in asked}
    return label_rows(pd.DataFrame(rows), models), [after.get(card["name"], card) for card in cards]


def _warn_of_untrained(objectives: Collection[str], parameters: EvaluationParameters) -> None:
    """Say which comparisons there will not be: the plain and the proposed objective need not both be trained."""
    for role in ("plain_objective", "proposed_objective"):
        if getattr(parameters, role) not in objectives:
            logger.warning(
                "evaluation.%s: %s was not trained, so nothing is compared with it; trained were %s",
                role,
                getattr(parameters, role),
                ", ".join(sorted(objectives)),
            )


def _write_scaled(
    tuned: Mapping[ModelName, SavedCheckpoint], parameters: EvaluationParameters, folder: Path
) -> dict[ModelName, Path]:
    """Write models of the plain and the proposed objective with a share of their update."""
    from cultureclip.clip.export.checkpoint import save_scaled
    from cultureclip.models.weights.locate import locate

    written = {}
    for name, checkpoint in tuned.items():
        if name.objective in (parameters.plain_objective, parameters.proposed_objective):
            for scale in parameters.scales:
                scaled = replace(name, scale=scale)
                written[scaled] = folder / str(scaled)
                save_scaled(checkpoint, locate(parameters.base_model), scale, written[scaled])
    return written


def score_models(
    predictions: pd.DataFrame, cards: list[dict[str, Any]], abilities: pd.DataFrame, parameters: EvaluationParameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return values, intervals and paired differences of every model, benchmark, metric and part.

    Returns:
        Scores, and scores of each culture and category.
    """
    from cultureclip.scoring.abilities import find_headlines
    from cultureclip.scoring.scores import score_all_groups, score_predictions

    hashes = {card["name"]: card["data_hash"] for card in cards if "data_hash" in card}
    headlines = find_headlines(abilities, parameters)
    scores = score_predictions(predictions, hashes, parameters, headlines)
    return scores, score_all_groups(predictions, parameters.plain_objective, headlines)


def compare_models(
    predictions: pd.DataFrame, parameters: EvaluationParameters
) -> tuple[pd.DataFrame, pd.DataFrame, Chart]:
    """Return what the base confuses and tuned models do not, and what culture costs in general ability.

    Returns:
        Confusions, abilities, and the abilities' chart.
    """
    from cultureclip.report.views.trade_off import draw_abilities
    from cultureclip.scoring.abilities import compare_abilities, find_headlines
    from cultureclip.scoring.confusions import count_confusions

    abilities = compare_abilities(predictions, parameters)
    headlines = find_headlines(abilities, parameters)
    confusions = count_confusions(predictions, parameters.plain_objective, headlines)
    return confusions, abilities, draw_abilities(abilities)


def measure_name_bias(
    predictions: pd.DataFrame, benchmarks: Benchmarks, cultwin: pd.DataFrame, parameters: EvaluationParameters
) -> pd.DataFrame:
    """Return accuracy by which names in a question's options were tuned on."""
    from cultureclip.scoring.name_bias import measure_name_bias as measure
    from cultureclip.scoring.name_bias import tuned_names

    names = {benchmark.name: benchmark.names for benchmark in benchmarks}
    return measure(predictions, names, tuned_names(cultwin), parameters.plain_objective)


def keep_pictures(
    benchmarks: Benchmarks, predictions: pd.DataFrame, confusions: pd.DataFrame, cards: list[dict[str, Any]]
) -> pd.DataFrame:
    """Keep thumbnails of the held-out pictures that a report may show beside a confusion.

    Returns:
        Table ``asked_pictures``.
    """
    from cultureclip.report.thumbnails import shrink
    from cultureclip.report.views.confusions_view import find_pictures
    from cultureclip.tables import ASKED_PICTURES, make_table

    pictures = ChainMap(*(benchmark.images for benchmark in benchmarks))
    shown = find_pictures(confusions, predictions, cards) & pictures.keys()
    return make_table([{"key": key, "thumbnail": shrink(pictures[key])} for key in sorted(shown)], ASKED_PICTURES)


def describe_evaluation(
    manifest: dict[str, Any],
    predictions: pd.DataFrame,
    parameters: EvaluationParameters,
) -> dict[str, Any]:
    """Note which run evaluated, and how: reports and results that are written later say so.

    Returns:
        The run's manifest as of now, less how far the run has come; with the evaluation's ``settings``, and how many
        answers it got.
    """
    progress = ("status", "error", "updated")
    facts = {name: value for name, value in manifest.items() if name not in progress}
    return facts | {"answers": len(predictions), "settings": parameters.model_dump(mode="json")}


def read_all(images: ImageSource, ids: Sequence[str]) -> Iterator[tuple[str, Image.Image]]:
    """Yield id and picture of many images, some in memory at a time."""
    for start in range(0, len(ids), _READ_AT_ONCE):
        part = ids[start : start + _READ_AT_ONCE]
        yield from zip(part, images.read(part), strict=True)
