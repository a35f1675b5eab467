"""Let models answer benchmarks, all of them the same questions: those whose pictures every model can read."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cultureclip.benchmarks.embedding.embeddings import embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import SourceDataError

logger = logging.getLogger(__name__)


def answer_benchmarks(
    models: Mapping[str, str | Path],
    benchmarks: Sequence[Benchmark],
    cache: Path,
    settings: EmbeddingSettings,
    engine: EngineSettings = HERE,
) -> tuple[list[dict[str, Any]], list[Benchmark]]:
    """Answer every question with every model.

    A picture that one model cannot read is left out for all models.

    Args:
        models: Name -> location.
        benchmarks: Benchmarks to answer.
        cache: Folder of kept embeddings.
        settings: How models embed.
        engine: Where models embed, and shared with whom.

    Returns:
        Rows of the predictions table; and the benchmarks as asked, which count the items left out.

    Raises:
        SourceDataError: if no question can be asked.
        WeightsError: if a model cannot be loaded, or its embeddings cannot be used.
    """
    failed: dict[str, str] = {}
    answers: dict[str, list[dict[str, Any]]] = {}
    for name, place in progress_bar(models.items(), desc="embed with models"):
        embeddings = embed_benchmarks(place, benchmarks, cache, settings, engine)
        failed |= embeddings.failed
        answers[name] = [] if failed else _answer(name, benchmarks, embeddings)
    if failed:
        logger.warning("%d pictures cannot be read and are not asked about: %s", len(failed), sorted(failed.items())[0])
    asked = [benchmark.without(failed) for benchmark in benchmarks] if failed else list(benchmarks)
    if not any(benchmark.size for benchmark in asked):
        cause = "nothing can be asked: all of them are absent or empty, or their pictures cannot be read"
        raise SourceDataError("evaluation.benchmarks", cause, "Read the reasons in benchmark_cards and above")
    if failed:  # now that it is known for all models which questions are asked
        for name, place in models.items():
            answers[name] = _answer(name, asked, embed_benchmarks(place, asked, cache, settings, engine))
    return [row for rows in answers.values() for row in rows], asked


def _answer(model: str, benchmarks: Sequence[Benchmark], embeddings: Embeddings) -> list[dict[str, Any]]:
    return [answer.as_row(one.name, model) for one in benchmarks for answer in one.answer(embeddings)]
