"""What earlier runs and previews with the same settings took."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cultureclip.concepts.sources.top_down import TopDownSource
from cultureclip.readiness.finding import Survey
from cultureclip.readiness.measured import MEASURED, Measured, rate_key, read_measured
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError
from cultureclip.settings_base import Settings

PREVIEWED = ("mining", "captioning", "synthesis", "filtering")
"""Stages that have a preview."""
_WHOLE = ("mining", "evaluation")
"""Stages that are timed as one."""
_RUNS = 50
"""Newest manifests that are read."""
_TRAINING, _TOGETHER = ".train_model", "train.train_together"


def read_previews(survey: Survey) -> list[Measured]:
    """Read what the newest preview of each stage has measured."""
    folders = [survey.files.get(f"{stage}_preview") for stage in PREVIEWED]
    found = [read_measured(folder / MEASURED) for folder in folders if folder is not None]
    return [one for one in found if one is not None]


def read_runs(survey: Survey) -> list[Measured]:
    """Read how long mining, trainings and evaluation took in completed runs, the slowest first.

    What a run found in a store or in a finished training took it no time, so the slowest run is the one that did all.
    """
    found = [one for manifest in _completed(survey.manifests) for one in _of_run(manifest, survey.stages)]
    return sorted(found, key=lambda one: -(one.seconds or 0) / one.items)


def _completed(folder: Path | None) -> Iterator[Mapping[str, Any]]:
    if folder is None:
        return
    for file in sorted(folder.glob("*/*.json"), reverse=True)[:_RUNS]:
        try:
            manifest = read_object(file)
        except (OSError, RefusedError):
            continue
        if manifest.get("status") == "completed":
            yield manifest


def _of_run(manifest: Mapping[str, Any], stages: Mapping[str, Settings]) -> Iterator[Measured]:
    seconds: Mapping[str, float] = manifest.get("node_seconds", {})
    how = f"run {manifest.get('run_id')}"
    for stage in _WHOLE:
        taken = sum(took for node, took in seconds.items() if node.startswith(f"{stage}."))
        settings = _settings_of(stage, manifest, stages)
        if taken and settings is not None and not _asks_for_concepts(settings):
            yield Measured(stage=stage, key=rate_key(stage, settings), how=how, items=1, seconds=taken)
    train: Any = _settings_of("train", manifest, stages)
    if train is not None:
        yield from _of_trainings(
            {node: took for node, took in seconds.items() if node.startswith("train.")}, train, how
        )


def _of_trainings(seconds: Mapping[str, float], train: Any, how: str) -> Iterator[Measured]:
    """Read how long each training took, or all of them if they were done several at a time."""
    steps = {node: train.run_settings(node.split(".")[1]).trainer.steps for node in seconds if node.endswith(_TRAINING)}
    timed = {node: (count, seconds[node]) for node, count in steps.items()}
    if steps and seconds.get(_TOGETHER, 0) > sum(seconds[node] for node in steps):
        timed = {_TOGETHER: (sum(steps.values()), seconds[_TOGETHER])}
    for count, took in timed.values():
        yield Measured(stage="train", key=rate_key("train", train), how=how, items=count, seconds=took)


def _settings_of(stage: str, manifest: Mapping[str, Any], stages: Mapping[str, Settings]) -> Settings | None:
    """Return a stage's parameters in an earlier run; None if they are not those of a stage that is planned now."""
    given = manifest.get("parameters", {}).get(stage)
    if stage not in stages or given is None:
        return None
    try:
        return type(stages[stage]).model_validate(given)
    except ValidationError:  # written by another version
        return None


def _asks_for_concepts(settings: Any) -> bool:
    """Tell whether mining's items are the regions and categories that a model is asked about, not the whole run."""
    return any(isinstance(source, TopDownSource) for source in getattr(settings, "sources", ()))
