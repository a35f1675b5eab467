"""Nodes of the evaluation stage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from cultureclip.pipelines.evaluation.parameters import EvaluationParameters

# Kedro reads these hints when it checks parameters, so they cannot name types whose modules are imported lazily.
Benchmarks = list[Any]
"""``benchmarks.benchmark.Benchmark`` objects."""
Log = list[dict[str, Any]]
_READ_AT_ONCE = 256


def collect_benchmarks(
    concepts: pd.DataFrame, twins: pd.DataFrame, parameters: EvaluationParameters
) -> tuple[Benchmarks, list[dict[str, Any]]]:
    """Draw the held-out pictures, pose the questions.

    Returns:
        The benchmarks, and their cards.
    """
    from cultureclip.benchmarks.pocket import collect_pocket

    benchmarks = collect_pocket(concepts, twins, parameters.image_size)
    return benchmarks, [benchmark.card() for benchmark in benchmarks]


def check_leaks(
    benchmarks: Benchmarks,
    cultwin: pd.DataFrame,
    images: Any,
    general_pairs: pd.DataFrame,
    parameters: EvaluationParameters,
) -> tuple[Benchmarks, dict[str, Any]]:
    """Stop the run when training has seen what a benchmark holds out.

    Returns:
        The benchmarks as they came, and what was compared.
    """
    from cultureclip.benchmarks.held_out import check_held_out
    from cultureclip.concepts.general_pairs import PairPictures

    trained = sorted({*cultwin["pos_image_id"], *cultwin["neg_image_id"]})
    replayed = PairPictures(general_pairs, parameters.image_size)
    found = check_held_out(
        benchmarks,
        cultwin,
        _read_all(images, trained),
        _read_all(replayed, replayed.ids),
        parameters.near_duplicate_bits,
    )
    return benchmarks, found


def evaluate_models(benchmarks: Benchmarks, parameters: EvaluationParameters, **checkpoints: Any) -> pd.DataFrame:
    """Answer every question with the base and with every tuned model.

    Args:
        benchmarks: The questions.
        parameters: Where the base and the kept embeddings are.
        checkpoints: Model name -> ``clip.contracts.SavedCheckpoint``.

    Raises:
        ConfigurationError: a checkpoint was tuned from another base.
    """
    from tqdm.auto import tqdm

    from cultureclip.benchmarks.embeddings import check_bases, embed_benchmarks
    from cultureclip.benchmarks.scores import BASE
    from cultureclip.models.locate import locate

    base = locate(parameters.base_model)
    check_bases(base, {name: checkpoint.card.base_fingerprint for name, checkpoint in checkpoints.items()})
    folders = {BASE: base} | {name: checkpoint.merged_path for name, checkpoint in checkpoints.items()}
    rows = []
    for model, folder in tqdm(folders.items(), desc="evaluate models"):
        embeddings = embed_benchmarks(folder, benchmarks, Path(parameters.embedding_cache))
        rows += [p.as_row(b.name, model) for b in benchmarks for p in b.answer(embeddings)]
    return pd.DataFrame(rows)


def score_models(
    predictions: pd.DataFrame, cards: list[dict[str, Any]], parameters: EvaluationParameters
) -> pd.DataFrame:
    """Values, intervals and paired differences of every model, benchmark, metric and part."""
    from cultureclip.benchmarks.scores import score_predictions

    hashes = {card["name"]: card["data_hash"] for card in cards}
    return score_predictions(
        predictions, hashes, parameters.plain_objective, resamples=parameters.resamples, seed=parameters.seed
    )


def render_report(
    *,
    scores: pd.DataFrame,
    predictions: pd.DataFrame,
    cards: list[dict[str, Any]],
    leak_check: dict[str, Any],
    concepts: pd.DataFrame,
    twins: pd.DataFrame,
    captions: pd.DataFrame,
    image_requests: pd.DataFrame,
    judgements: pd.DataFrame,
    cultwin: pd.DataFrame,
    images: Any,
    mining: dict[str, Any],
    captioning: dict[str, Any],
    synthesis: dict[str, Any],
    filtering: dict[str, Any],
    training: dict[str, Any],
    manifest: dict[str, Any],
    parameters: EvaluationParameters,
    **logs: Log,
) -> str:
    """The whole run as one HTML page; ``logs`` are training logs by model name."""
    from cultureclip.benchmarks.gallery import GalleryTables
    from cultureclip.benchmarks.pocket import read_references
    from cultureclip.benchmarks.report import ReportData, ReportSettings
    from cultureclip.benchmarks.report import render_report as render

    accepted = twins[twins["verdict"] == "accepted"]
    twinned = concepts["concept_id"].isin([*accepted["a_concept_id"], *accepted["b_concept_id"]])
    data = ReportData(
        scores=scores,
        predictions=predictions,
        cards=cards,
        leak_check=leak_check,
        tables=GalleryTables(concepts, twins, captions, image_requests, judgements, cultwin),
        images=images,
        pictures=read_references(concepts[twinned], parameters.image_size),
        metrics={"mining": mining, "captioning": captioning, "synthesis": synthesis, "filtering": filtering},
        training=training,
        logs=logs,
        manifest=manifest,
    )
    settings = ReportSettings(parameters.plain_objective, parameters.proposed_objective, parameters.gallery_twins)
    return render(data, settings)


def _read_all(images: Any, ids: list[str]) -> Iterator[tuple[str, Any]]:
    for start in range(0, len(ids), _READ_AT_ONCE):
        part = ids[start : start + _READ_AT_ONCE]
        yield from zip(part, images.read(part), strict=True)
