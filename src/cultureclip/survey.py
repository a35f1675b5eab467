"""Survey of a run of the whole line: all that the checks before it would stop at, and the files that are there.

The checks themselves are those of :mod:`cultureclip.preflight`, which stop a run at the first; here each is asked for
all that it finds.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractVersionedDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from cultureclip import preflight
from cultureclip.errors import CultureClipError
from cultureclip.models.named import describe_models
from cultureclip.pipeline_registry import STAGES
from cultureclip.pipelines.parameters import PARAMETERS
from cultureclip.readiness.check import TRAININGS
from cultureclip.readiness.finding import Finding, Survey
from cultureclip.run_manifest import MANIFEST
from cultureclip.settings_base import Settings

SURVEY = "preflight_survey"
"""Dataset that the hook before a run fills where the run reads it."""
_LINE = "__default__"
_READ = (
    *("atlas", "caption_prompt", "rating_prompt", "concepts", "twins", "captions", "image_requests", "image_store"),
    *("cultwin", *(f"{stage}_preview" for stage in STAGES[:4])),
)
"""Datasets that the preflight reads where they are there."""


def make_survey(
    env: str | None,
    parameters: Mapping[str, Any],
    runtime: Mapping[str, Any],
    catalog: CatalogProtocol[Any, Any],
    pipelines: Mapping[str, Pipeline],
) -> Survey:
    """Survey a run of the whole line with this configuration.

    Args:
        env: Its environment.
        parameters: All parameters, by stage.
        runtime: Those given by ``--params``.
        catalog: Catalog of the run.
        pipelines: All pipelines.
    """
    every = preflight.read_stages(parameters)
    running = {name: every[name] for name in (*STAGES, "engine") if name in every}
    findings = [
        *_find_unread(parameters, runtime),
        *_find_invalid(parameters),
        *_find_missing(env, catalog, pipelines),
        *map(Finding.of, preflight.find_role_faults(every)),
        *map(Finding.of, preflight.find_device_faults(running)),
    ]
    models = describe_models(running)
    findings += [Finding.of(model.problem) for model in models if model.problem is not None]
    return Survey(
        env=env,
        stages=running,
        findings=tuple(findings),
        models=tuple(models),
        files=_list_files(catalog),
        folders=_list_folders(catalog, pipelines, running),
        manifests=_place_of(catalog, MANIFEST),
    )


def _caught(check: Callable[[], None]) -> Iterator[Finding]:
    try:
        check()
    except CultureClipError as error:
        yield Finding.of(error)


def _find_unread(parameters: Mapping[str, Any], runtime: Mapping[str, Any]) -> Iterator[Finding]:
    for name, value in parameters.items():
        yield from _caught(lambda name=name, value=value: preflight.check_parameters({name: value}, {}))  # type: ignore[misc]
    for name, value in runtime.items():
        yield from _caught(lambda name=name, value=value: preflight.check_parameters({}, {name: value}))  # type: ignore[misc]


def _find_invalid(parameters: Mapping[str, Any]) -> Iterator[Finding]:
    for name in PARAMETERS.keys() & parameters.keys():
        try:
            PARAMETERS[name].model_validate(parameters[name])
        except ValidationError as error:
            for fault in error.errors():
                place = ".".join(map(str, (name, *fault["loc"])))
                yield Finding(
                    place, f"{fault['msg']} (it is {fault['input']!r:.80})", "Correct it in conf/ or --params"
                )


def _find_missing(
    env: str | None, catalog: CatalogProtocol[Any, Any], pipelines: Mapping[str, Pipeline]
) -> Iterator[Finding]:
    """Find the inputs from outside that the line lacks; a shape that pipelines cannot have shows here, too."""
    yield from _caught(lambda: preflight.check_inputs(pipelines[_LINE], catalog, pipelines, {MANIFEST}, env))


def _list_files(catalog: CatalogProtocol[Any, Any]) -> dict[str, Path]:
    found = {name: _place_of(catalog, name) for name in _READ if catalog.get(name) is not None and catalog.exists(name)}
    return {name: place for name, place in found.items() if place is not None}


def _list_folders(
    catalog: CatalogProtocol[Any, Any], pipelines: Mapping[str, Pipeline], stages: Mapping[str, Settings]
) -> dict[str, Path]:
    """List where the line writes: its datasets with a path of their own, and the trainings."""
    try:
        names = pipelines[_LINE].all_outputs() | {"image_store"}
    except CultureClipError:  # named by the check of inputs
        names = {"image_store"}
    found = {name: _root_of(catalog, name) for name in sorted(names)}
    folders = {name: root for name, root in found.items() if root is not None}
    if (train := stages.get("train")) is not None:
        folders[TRAININGS] = Path(str(train.work_dir))  # type: ignore[attr-defined]
    return folders


def _root_of(catalog: CatalogProtocol[Any, Any], name: str) -> Path | None:
    """Return where a dataset lies on this machine's disks; None if it does not, as in an object store."""
    dataset = catalog.get(name)
    path = None if dataset is None else dataset._describe().get("filepath")
    return None if path is None or "://" in str(path) else Path(str(path))


def _place_of(catalog: CatalogProtocol[Any, Any], name: str) -> Path | None:
    """Return the file or folder that a dataset loads; of the manifest, the folder of all runs."""
    if name == MANIFEST:
        return _root_of(catalog, name)
    dataset = catalog.get(name)
    root = _root_of(catalog, name)
    if root is None or not isinstance(dataset, AbstractVersionedDataset):
        return root
    version = dataset.resolve_load_version()
    return root if version is None else root / version / root.name
