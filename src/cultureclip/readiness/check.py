"""All findings, and what each stage takes and costs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cultureclip.errors import PreflightError
from cultureclip.models.named import NamedModel
from cultureclip.readiness.disk import FileSystem, find_too_full, list_file_systems, size_of
from cultureclip.readiness.finding import FIX, NOTE, Finding, Survey
from cultureclip.readiness.history import PREVIEWED, read_previews, read_runs
from cultureclip.readiness.leaks import find_leaks
from cultureclip.readiness.machine import Gpu, find_too_large, list_gpus
from cultureclip.readiness.measured import Measured, rate_key
from cultureclip.readiness.plan import Planned, Work, count_images, plan_stages
from cultureclip.readiness.price import Cost, cost_of
from cultureclip.readiness.rates import Rate, choose_rate
from cultureclip.readiness.settings import PreflightSettings
from cultureclip.readiness.versions import find_wrong_versions
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError

STORE, TRAININGS = "image_store", "train.work_dir"
"""Folders whose planned bytes are known: generated images, and their decoded copies for training."""
_CHANNELS = 3


@dataclass(frozen=True)
class Readiness:
    """What the preflight knows.

    Attributes:
        env: The environment.
        planned: Images that are planned for.
        costs: What each stage takes, in the order of the flow.
        models: Models that the line names.
        gpus: GPUs of this machine.
        disks: File systems that a run writes to.
        findings: What to fix and what to know, the first first.
        settings: What is stated.
    """

    env: str
    planned: Planned
    costs: Sequence[Cost]
    models: Sequence[NamedModel]
    gpus: Sequence[Gpu]
    disks: Sequence[FileSystem]
    findings: Sequence[Finding]
    settings: PreflightSettings

    @property
    def to_fix(self) -> list[Finding]:
        """Findings with which a run cannot end well."""
        return [finding for finding in self.findings if finding.severity == FIX]


def check(
    survey: Survey, settings: PreflightSettings, measured: Sequence[Measured], broken: Sequence[Finding] = ()
) -> Readiness:
    """Put together what is wrong, what is planned and what it takes.

    Args:
        survey: Configuration and files.
        settings: What is stated.
        measured: What was measured now.
        broken: What went wrong then.
    """
    known = [*read_previews(survey), *measured, *read_runs(survey)]
    costs = [
        cost_of(work, _rate_of(work, survey, settings, known), settings.gpu_hour)
        for work in plan_stages(survey, settings)
    ]
    gpus = list_gpus()
    disks = list_file_systems(survey.folders, _planned_bytes(costs, survey))
    findings = [
        *survey.findings,
        *broken,
        *find_too_large(survey.models, gpus),
        *find_wrong_versions(),
        *find_too_full(disks),
        *find_leaks(survey),
        *_find_unlicensed(survey, settings),
        *_find_unpinned(survey.models),
        *(find_busy() if measured else ()),
    ]
    ordered = sorted(dict.fromkeys(findings), key=lambda finding: finding.severity != FIX)
    env = survey.env or "base"
    return Readiness(
        env, count_images(survey, settings), costs, _licensed(survey, settings), gpus, disks, ordered, settings
    )


def require_nothing(to_fix: Sequence[Finding]) -> None:
    """End a run with an error if there is something to fix.

    Raises:
        PreflightError: if there is.
    """
    if to_fix:
        raise PreflightError(
            f"preflight: {len(to_fix)} to fix",
            f"the first is {to_fix[0].where}",
            "The table says what to do about each",
        )


def _rate_of(work: Work, survey: Survey, settings: PreflightSettings, known: Sequence[Measured]) -> Rate:
    key = rate_key(work.stage, survey.stages[work.stage])
    stated: Mapping[Any, Any] = settings.rates
    return choose_rate(work.stage, key, stated.get(work.stage), known)


def _planned_bytes(costs: Sequence[Cost], survey: Survey) -> dict[str, float]:
    """Return the bytes that are still to be written, where they are known."""
    images = next((cost for cost in costs if cost.work.stage == "synthesis"), None)
    if images is None:
        return {}
    planned = {}
    if images.bytes is not None:
        planned[STORE] = max(0.0, images.bytes - size_of(survey.files.get(STORE)))
    edge, trained = _edge_of_base(survey.models), survey.folders.get(TRAININGS)
    if images.work.items is not None and edge is not None and trained is not None:
        planned[TRAININGS] = max(0.0, images.work.items * _CHANNELS * edge**2 - size_of(trained))
    return planned


def _edge_of_base(models: Sequence[NamedModel]) -> int | None:
    """Return the edge, in pixels, of the pictures that training decodes; None where the base is not here."""
    base = next((model for model in models if model.parameter == "train.base"), None)
    if base is None or base.path is None:
        return None
    try:
        size = read_object(base.path / "open_clip_config.json")["model_cfg"]["vision_cfg"]["image_size"]
    except (OSError, RefusedError, KeyError, TypeError):
        return None
    return size if isinstance(size, int) else None


def _find_unlicensed(survey: Survey, settings: PreflightSettings) -> Iterator[Finding]:
    for model in survey.models:
        name, origin = model.parameter, model.origin
        if origin is not None and origin.licence is None and name not in settings.licences:
            stated = f"preflight.licences: {{ {name}: <licence> }}"
            remedy = f"Copy its card (README.md) beside the weights, or state {stated}"
            yield Finding(f"{name}: {model.path}", "no card or package says its licence", remedy)
    for name in sorted(settings.licences.keys() - {model.parameter for model in survey.models}):
        remedy = "Name a parameter of the table of models"
        yield Finding(f"preflight.licences.{name}", "no model is named by that parameter", remedy)


def _licensed(survey: Survey, settings: PreflightSettings) -> list[NamedModel]:
    """Return the models, those without a licence of their own with the stated one."""
    models = []
    for model in survey.models:
        stated, origin = settings.licences.get(model.parameter), model.origin
        if stated is None or origin is None or origin.licence is not None:
            models.append(model)
        else:
            models.append(replace(model, origin=replace(origin, licence=f"{stated} (stated)")))
    return models


def _find_unpinned(models: Sequence[NamedModel]) -> Iterator[Finding]:
    for model in models:
        if model.origin is not None and model.origin.revision is None:
            what = "nothing says which revision it is"
            remedy = (
                "Name it as hf:<owner>/<name>@<commit>, or get it with hf download --local-dir, which notes the commit"
            )
            yield Finding(f"{model.parameter}: {model.spec}", what, remedy, NOTE)


def find_busy() -> Iterator[Finding]:
    """Find out whether other programs slow down what is measured."""
    cores, load = os.cpu_count() or 1, os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if load > cores + 1:
        what = f"{load:.0f} programs want its {cores} cores: what is measured now on the CPU is too slow"
        yield Finding("this machine", what, "Run the preflight again when the machine is idle", NOTE)


def how_to_measure(stage: str, *, asks_for_concepts: bool = False) -> str:
    """Say how the time of a stage becomes known."""
    previewed = stage in PREVIEWED and (stage != "mining" or asks_for_concepts)
    command = f"kedro run --pipelines={'preview_' if previewed else ''}{stage}"
    return f"Measure with {command}, or state preflight.rates.{stage}.seconds"
