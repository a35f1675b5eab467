"""Checks made before any work starts, so that a run that cannot end well does not begin."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any

from kedro.io import AbstractVersionedDataset, CatalogProtocol, DatasetError, SharedMemoryDataCatalog
from kedro.pipeline import Pipeline
from pydantic import ValidationError

from cultureclip.datasets.versions import WholeVersions
from cultureclip.errors import ConfigurationError, MissingInputError, WeightsError
from cultureclip.models.named import find_models, find_place
from cultureclip.models.settings import JudgePath
from cultureclip.models.weights.files import are_same_weights, find_weights
from cultureclip.pipeline_registry import MODULES, find_producer
from cultureclip.provenance import walk
from cultureclip.reading.text import first_line
from cultureclip.settings_base import CPU, Device, Settings, walk_settings

PIPELINE_SHAPE = (
    "train.objectives",
    "train.seeds",
    "evaluation.benchmarks",
    "ask_benchmarks.benchmarks",
    "attribution.images.folder",
    "attribution.images.rated",
    "attribution.knowledge_base",
)
"""Parameters that decide which nodes there are: pipelines are built before ``--params`` is known."""

_BASE, _COMPARED = "train.base", "evaluation.base_model"

SHORT_PARAMS = frozenset({"image_id"})
"""Names that ``--params`` takes besides the stages': a stage's parameter reads each by Kedro's ``runtime_params``."""


def check_parameters(parameters: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
    """Refuse parameters that no stage would read, and late changes of the pipeline's shape.

    Args:
        parameters: All parameters, by stage.
        runtime: Those given by ``--params``.

    Raises:
        ConfigurationError: if a top-level key is not a stage, or ``--params`` names one of :data:`PIPELINE_SHAPE`.
    """
    from cultureclip.pipelines.parameters import PARAMETERS

    for key in parameters:
        if key not in PARAMETERS and not (key in SHORT_PARAMS and key in runtime):
            close = get_close_matches(key, PARAMETERS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(PARAMETERS)}"
            raise ConfigurationError(f"parameter {key}", "nothing reads it", hint)
    for path, _ in walk(runtime):
        if path.startswith(PIPELINE_SHAPE):
            raise ConfigurationError(
                f"--params {path}",
                "it decides which nodes there are, and these are fixed before --params is read",
                f"Set it in conf/base/parameters_{path.partition('.')[0]}.yml or in an environment of your own",
            )


def check_working_directory(project: Path) -> None:
    """Make sure that a run starts in the project's folder: relative paths in the parameters count from there.

    Raises:
        ConfigurationError: if it starts elsewhere.
    """
    here = Path.cwd()
    if not here.samefile(project):
        cause = "relative paths in the parameters, such as train.work_dir, would lead to another place"
        raise ConfigurationError(f"working directory {here}", cause, f"Run from the project's folder: cd {project}")


def check_runner(catalog: CatalogProtocol[Any, Any]) -> None:
    """Refuse Kedro's ParallelRunner.

    Raises:
        ConfigurationError: if the catalog is the one that it works with.
    """
    if isinstance(catalog, SharedMemoryDataCatalog):
        cause = "it copies what nodes hand on in memory, such as benchmarks, to other processes and calls no hooks"
        remedy = "Leave the option out: nodes use all cores by themselves. ThreadRunner works, too"
        raise ConfigurationError("--runner=ParallelRunner", cause, remedy)


def check_inputs(
    pipeline: Pipeline,
    catalog: CatalogProtocol[Any, Any],
    pipelines: Mapping[str, Pipeline],
    supplied: Collection[str] = (),
    env: str | None = None,
    versions: Mapping[str, str] | None = None,
    in_progress: Mapping[str, int] | None = None,
) -> None:
    """Make sure that everything the pipeline reads and does not make itself is there.

    Args:
        pipeline: Pipeline to run.
        catalog: Catalog of its inputs.
        pipelines: All pipelines, to say which one makes a missing input.
        supplied: Names of datasets that are made at the start of the run.
        env: The run's environment, if it names one: what is missing should be made in it, too.
        versions: Versions asked for by ``--load-versions``.
        in_progress: Other runs of the project, with their process ids: what they save is not there yet.

    Raises:
        MissingInputError: if there is no such version or it is damaged; or if an input is missing: named are the first
            in the order of the flow, and the command that makes it.
    """
    for name, version in (versions or {}).items():
        _check_version(catalog, name, version)
    needed = pipeline.inputs() - set(supplied)
    names = [name for name in sorted(needed) if not _is_parameter(name) and name in catalog]
    missing = {name: find_producer(name, pipelines) for name in names if not catalog.exists(name)}
    if not missing:
        return
    name = min(missing, key=lambda dataset: _place(missing[dataset]))
    producer, others = missing[name], sorted(set(missing) - {name})
    cause = "it has not been made yet" + (f" (nor have {', '.join(others)})" if others else "")
    if producer is None:
        place = catalog[name]._describe().get("filepath", catalog[name])
        raise MissingInputError(name, "there is no such input", f"Put the file where the catalog says: {place}")
    command = f"kedro run --pipelines={producer}" + (f" --env={env}" if env else "")
    waiting = ", ".join(f"{run} (process {process})" for run, process in (in_progress or {}).items())
    remedy = f"Make it first: {command}" + (f"; or wait for the run in progress: {waiting}" if waiting else "")
    raise MissingInputError(name, cause, remedy)


def _check_version(catalog: CatalogProtocol[Any, Any], name: str, version: str) -> None:
    dataset = catalog.get(name)
    if not isinstance(dataset, AbstractVersionedDataset):
        return
    if dataset.exists():
        _check_whole(name, version, dataset)
        return
    known = sorted(dataset.list_versions(full_path=False))
    near = get_close_matches(version, known, n=1)
    listing = f"There are {len(known)}, the nearest {(near or known)[-1]}, the latest {known[-1]}" if known else ""
    remedy = listing or "None has been made; leave the option out"
    raise MissingInputError(f"--load-versions {name}:{version}", "there is no such version", remedy)


def _check_whole(name: str, version: str, dataset: AbstractVersionedDataset[Any, Any]) -> None:
    if isinstance(dataset, WholeVersions):
        try:
            dataset.inspect()
        except DatasetError as error:
            remedy = "Name another version, or leave the option out"
            raise MissingInputError(f"--load-versions {name}:{version}", str(error), remedy) from error


def read_stages(parameters: Mapping[str, Any]) -> dict[str, Settings]:
    """Read the parameters of all stages.

    A stage whose parameters are wrong is left out: Kedro refuses them when that stage runs.
    """
    from cultureclip.pipelines.parameters import PARAMETERS  # only a run needs them

    stages: dict[str, Settings] = {}
    for name in PARAMETERS.keys() & parameters.keys():
        with suppress(ValidationError):
            stages[name] = PARAMETERS[name].model_validate(parameters[name])
    return stages


def select_stages(pipeline: Pipeline, stages: Mapping[str, Settings]) -> dict[str, Settings]:
    """Choose the stages whose parameters a pipeline reads, in alphabetical order."""
    read = {name.removeprefix("params:").partition(".")[0] for name in pipeline.inputs() if _is_parameter(name)}
    return {name: stages[name] for name in sorted(read & stages.keys())}


def check_roles(pipeline: Pipeline, stages: Mapping[str, Settings]) -> None:
    """Make sure that no model judges its own training, and that what is compared with is what was tuned.

    All stages count, also those that do not run now. Models that are not on this machine are passed over. A measurement
    of models that were not tuned here may compare with any model.

    Raises:
        ConfigurationError: if a judge has the weights of the trainee, or evaluation compares with another base.
    """
    if "params:evaluation" in pipeline.inputs() and not any(map(_is_checkpoint, pipeline.datasets())):
        return
    for fault in find_role_faults(stages):
        raise fault


def find_role_faults(stages: Mapping[str, Settings]) -> Iterator[ConfigurationError]:
    """Find the models in a wrong role, as :func:`check_roles` says."""
    specs = find_models(stages)
    judges = [name for name, spec in specs.items() if isinstance(spec, JudgePath)]
    weights = {}
    for name in (*judges, _BASE, _COMPARED):
        with suppress(WeightsError, KeyError):
            weights[name] = find_weights(find_place(specs[name]))
    for judge, trainee in product(judges, (_BASE, _COMPARED)):
        if {judge, trainee} <= weights.keys() and are_same_weights(weights[judge], weights[trainee]):
            cause = f"it has the weights of {trainee} ({specs[trainee]}), which would judge its own training"
            yield ConfigurationError(f"{judge}: {specs[judge]}", cause, "Name another model")
    if {_BASE, _COMPARED} <= weights.keys() and not are_same_weights(weights[_BASE], weights[_COMPARED]):
        cause = f"tuned is another model, {_BASE}: {specs[_BASE]}"
        yield ConfigurationError(f"{_COMPARED}: {specs[_COMPARED]}", cause, "Name the same (globals: base_clip)")


def check_devices(stages: Mapping[str, Settings]) -> None:
    """Make sure that this machine has every device that stages name.

    Raises:
        ConfigurationError: if a device is unavailable.
    """
    for fault in find_device_faults(stages):
        raise fault


def find_device_faults(stages: Mapping[str, Settings]) -> Iterator[ConfigurationError]:
    """Find the parameters that name a device which this machine lacks."""
    for path, _, value in walk_settings(stages):
        if isinstance(value, Device) and value != CPU:
            try:
                _check_device(path, value)
            except ConfigurationError as error:
                yield error


def _check_device(path: str, device: str) -> None:
    import torch  # the import takes seconds, and a run on the CPU does not need it

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        cause = f"no {device} on this machine ({first_line(error)})"
        raise ConfigurationError(path, cause, "Run on a machine that has one, or set it to cpu") from error


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _is_checkpoint(name: str) -> bool:
    return name.startswith("checkpoint_")


def _place(producer: str | None) -> int:
    return -1 if producer is None else MODULES.index(producer)
