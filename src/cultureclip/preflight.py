"""Checks made before any work starts, so that a run that cannot end well does not begin."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.models.locate import HUB_SCHEME, PACKAGE_SCHEME, locate
from cultureclip.pipeline_registry import MODULES, find_producer
from cultureclip.provenance import walk

PIPELINE_SHAPE = ("train.objectives", "train.seeds")
"""Parameters that decide which nodes there are: pipelines are built before ``--params`` is known."""

_MODEL_NAMES = ("model", "base", "base_model", "judge", "path")


def check_parameters(parameters: Mapping[str, Any], runtime: Mapping[str, Any]) -> None:
    """Refuse parameters that no stage would read, and late changes of the pipeline's shape.

    Args:
        parameters: All parameters, by stage.
        runtime: Those given by ``--params``.

    Raises:
        ConfigurationError: a top-level key is no stage, or ``--params`` names one of :data:`PIPELINE_SHAPE`.
    """
    for key in parameters:
        if key not in MODULES:
            close = get_close_matches(key, MODULES, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"The stages are {', '.join(MODULES)}"
            raise ConfigurationError(f"parameter {key}", "there is no such stage", hint)
    for path, _ in walk(runtime):
        if path.startswith(PIPELINE_SHAPE):
            raise ConfigurationError(
                f"--params {path}",
                "it decides which nodes there are, and these are fixed before --params is read",
                "Set it in conf/base/parameters_train.yml or in an environment of your own",
            )


def check_inputs(
    pipeline: Pipeline,
    catalog: CatalogProtocol,
    pipelines: Mapping[str, Pipeline],
    supplied: Collection[str] = (),
    env: str | None = None,
) -> None:
    """Make sure that everything the pipeline reads and does not make itself is there.

    Args:
        pipeline: What is about to run.
        catalog: Where its inputs lie.
        pipelines: All pipelines, to say which one makes what is missing.
        supplied: Names of datasets that are made when the run starts.
        env: The run's environment, if it names one: what is missing should be made in it, too.

    Raises:
        MissingInputError: names the first missing dataset in the order of the flow, and the command that makes it.
    """
    needed = pipeline.inputs() - set(supplied)
    names = [name for name in sorted(needed) if not _is_parameter(name) and name in catalog]
    missing = {name: find_producer(name, pipelines) for name in names if not catalog.exists(name)}
    if not missing:
        return
    name = min(missing, key=lambda dataset: _place(missing[dataset]))
    producer, others = missing[name], sorted(set(missing) - {name})
    cause = "it has not been made yet" + (f" (nor have {', '.join(others)})" if others else "")
    if producer is None:
        raise MissingInputError(name, "there is no such input", f"Put the file where the catalog says: {catalog[name]}")
    command = f"kedro run --pipeline={producer}" + (f" --env={env}" if env else "")
    raise MissingInputError(name, cause, f"Make it first: {command}")


def find_models(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Dotted path and location of every model that the parameters of a pipeline's stages name.

    A location is a string that starts with ``package:`` or ``hf:``, or any string under a key that names a model.
    """
    for path, value in _stage_parameters(pipeline, parameters):
        if isinstance(value, str) and (value.startswith((PACKAGE_SCHEME, HUB_SCHEME)) or _key(path) in _MODEL_NAMES):
            yield path, value


def locate_models(pipeline: Pipeline, parameters: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Find the models of :func:`find_models` on disk.

    Returns:
        Dotted path -> ``spec`` as configured and the resolved ``path``.

    Raises:
        WeightsError: one is not there.
    """
    return {name: {"spec": spec, "path": str(locate(spec))} for name, spec in find_models(pipeline, parameters)}


def check_devices(pipeline: Pipeline, parameters: Mapping[str, Any]) -> None:
    """Make sure that this machine has every device that the parameters of a pipeline's stages name.

    Raises:
        ConfigurationError: it has not.
    """
    for path, value in _stage_parameters(pipeline, parameters):
        if _key(path) == "device" and value != "cpu":
            _check_device(path, value)


def _check_device(path: str, device: str) -> None:
    import torch  # takes seconds, which a run on the CPU need not spend here

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        cause = f"no {device} on this machine ({str(error).splitlines()[0]})"
        raise ConfigurationError(path, cause, "Run on a machine that has one, or set it to cpu") from error


def _stage_parameters(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted path and value of all parameters of the stages that a pipeline belongs to."""
    stages = {name.removeprefix("params:").partition(".")[0] for name in pipeline.inputs() if _is_parameter(name)}
    return walk({stage: parameters[stage] for stage in sorted(stages & parameters.keys())})


def _key(path: str) -> str:
    return path.rpartition(".")[2]


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")


def _place(producer: str | None) -> int:
    return -1 if producer is None else MODULES.index(producer)
