"""Make a few items with the configured models, throw them away, and note what they took."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from cultureclip.captions.facts import ConceptFacts
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import CultureClipError
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.readiness.finding import Finding, Survey
from cultureclip.readiness.measured import Measured, rate_key

_SHARD = "0"
_MEASURES_JUDGES = {"clip", "vision_language"}
"""Judges whose time is measured; with another one among those that decide, a preview tells more."""


@dataclass(frozen=True)
class _Bench:
    """What stages are measured with: concepts, their drawn pictures, a store that is removed afterwards."""

    survey: Survey
    concepts: pd.DataFrame
    store: KeyedStore
    pictures: ImageSet


def measure_stages(survey: Survey, items: int, broken: Callable[[str], bool]) -> tuple[list[Measured], list[Finding]]:
    """Measure captioning, synthesis and filtering on a few items each, where that is possible here.

    The items are not stored: the stages' own plans decide which items there are. A model behind servers is not asked.

    Args:
        survey: Configuration and files.
        items: Number of items; 0 measures nothing.
        broken: Tells of a stage whether something stops it, so that it is not tried.

    Returns:
        The measurements, and what went wrong.
    """
    measured: list[Measured] = []
    findings: list[Finding] = []
    concepts = _read_concepts(survey) if items else None
    if concepts is None:
        return measured, findings
    concepts = concepts.head(items)
    concepts = concepts.assign(
        concept_id=_SHARD + concepts["concept_id"].str[1:]
    )  # one shard: their images are a batch
    with tempfile.TemporaryDirectory(prefix="preflight-") as folder:
        store, pictures = KeyedStore(Path(folder) / "answers.sqlite"), ImageSet(ShardStore(Path(folder) / "images"), [])
        bench = _Bench(survey, concepts, store, pictures)
        for stage, measure in _MEASURES.items():
            if stage not in survey.stages or broken(stage):
                continue
            try:
                measured += measure(bench, survey.stages[stage])
            except CultureClipError as error:
                findings.append(Finding.of(error))
    return measured, findings


def _read_concepts(survey: Survey) -> pd.DataFrame | None:
    """Return concepts to measure with: of the newest table, or of the atlas; None where there is neither."""
    from cultureclip.concepts.atlas import read_concepts
    from cultureclip.reading.csv_table import read_csv_table

    if table := survey.files.get("concepts"):
        return pd.read_parquet(table)
    atlas = survey.files.get("atlas")
    if atlas is None:
        return None
    try:
        return read_concepts(read_csv_table(atlas.read_text(encoding="utf-8", errors="surrogateescape")))
    except (CultureClipError, OSError):
        return None  # the check of mining's inputs names it


def _measure_captioning(bench: _Bench, settings: Any) -> Iterator[Measured]:
    from cultureclip.captions.prompts import read_caption_prompt
    from cultureclip.captions.units import WordChecker
    from cultureclip.captions.write import Writer
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.open import open_chat_model

    prompt = _read_yaml(bench.survey, "caption_prompt")
    if prompt is None or settings.voices is not None or not isinstance(settings.language_model, LanguageModelSettings):
        return
    usage, model = Usage(), open_chat_model(settings.language_model)
    writer = Writer(bench.store, model, read_caption_prompt(prompt, settings), settings, usage, WordChecker())
    written = writer.ask_until_enough([ConceptFacts.from_row(dict(row)) for _, row in bench.concepts.iterrows()])
    accepted = sum(candidate.reason is None for tries in written.values() for candidate in tries)
    if accepted:
        yield Measured(
            stage="captioning",
            key=rate_key("captioning", settings),
            how=f"{usage.asked} questions now, {accepted} captions accepted",
            items=accepted,
            seconds=usage.seconds,
            tokens_read=usage.prompt_tokens,
            tokens_written=usage.completion_tokens,
        )


def _measure_synthesis(bench: _Bench, settings: Any) -> Iterator[Measured]:
    from cultureclip.images.generation import generate_missing
    from cultureclip.readiness.disk import size_of

    names = bench.concepts["name"].tolist()
    plan = pd.DataFrame({"image_id": bench.concepts["concept_id"], "prompt": names, "seed": range(len(names))})
    report = generate_missing(plan.assign(shard=_SHARD), bench.pictures.store, settings)
    bench.pictures.ids = sorted(plan["image_id"])
    yield Measured(
        stage="synthesis",
        key=rate_key("synthesis", settings),
        how=f"{report.made} images drawn now",
        items=report.made,
        seconds=report.drawing,
        bytes=size_of(bench.pictures.store.root),
    )


def _measure_filtering(bench: _Bench, settings: Any) -> Iterator[Measured]:
    """Judge the pictures that were drawn; without them there is nothing to judge."""
    from cultureclip.judging.judge import Judge
    from cultureclip.judging.vision_language import rate_images, read_rating_prompt
    from cultureclip.models.chat.asking import Usage

    ids, decide, usage = bench.pictures.ids, set(settings.judges.decide), Usage()
    prompt = _read_yaml(bench.survey, "rating_prompt")
    if not ids or not decide <= _MEASURES_JUDGES or prompt is None:
        return
    judge = Judge(settings, bench.store)
    judge.encoder  # noqa: B018 - its weights are read at the first use, which is not timed
    start = time.perf_counter()
    judge.look_at(bench.pictures, ids)
    seconds = time.perf_counter() - start
    if "vision_language" in decide:
        if not isinstance(settings.vision_language.model, LanguageModelSettings):
            return
        wanted = pd.DataFrame({"image_id": ids, "concept_id": ids})
        how = settings.vision_language
        rate_images(wanted, bench.pictures, bench.concepts, bench.store, read_rating_prompt(prompt), how, usage)
    yield Measured(
        stage="filtering",
        key=rate_key("filtering", settings),
        how=f"{len(ids)} images judged now",
        items=len(ids),
        seconds=seconds + usage.seconds,
        tokens_read=usage.prompt_tokens,
        tokens_written=usage.completion_tokens,
    )


def _read_yaml(survey: Survey, name: str) -> Any:
    file = survey.files.get(name)
    return None if file is None else yaml.safe_load(file.read_text(encoding="utf-8"))


_MEASURES: dict[str, Callable[[_Bench, Any], Iterator[Measured]]] = {
    "captioning": _measure_captioning,
    "synthesis": _measure_synthesis,
    "filtering": _measure_filtering,
}
"""In this order: filtering judges the pictures that synthesis drew."""
