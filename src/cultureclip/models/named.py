"""The models that a configuration names: where they are, and whether their files are whole; no weights are read."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.models.settings import ModelFiles, ModelPath
from cultureclip.models.weights.files import check_model
from cultureclip.models.weights.locate import OPEN_CLIP_SCHEME, locate
from cultureclip.models.weights.origin import Origin, find_origin
from cultureclip.models.weights.parameter_counts import ParameterCounts, count_parameters
from cultureclip.settings_base import CPU, Settings, walk_settings

_HOW_TO_GET = "Download each, or name one that is here: docs/paper.md, What to download"
_AS_IN_CODE = "float32"
"""Number type of the models whose settings name none: encoders keep their weights in it, also under autocast."""


@dataclass(frozen=True)
class NamedModel:
    """A model of the configuration.

    Attributes:
        parameter: Dotted path of the parameter that names it.
        spec: Location as configured.
        device: Device that its settings name.
        dtype: Number type of its weights at work, as configured; ``auto`` depends on the device, and
            ``quantised`` on the method.
        path: Resolved location; None where there is none.
        origin: Its revision and licence; None where there is no model.
        counts: Its parameters; None where a file is missing or damaged.
        problem: What is wrong with its files; None for a whole model.
    """

    parameter: str
    spec: str
    device: str
    dtype: str
    path: Path | None = None
    origin: Origin | None = None
    counts: ParameterCounts | None = None
    problem: WeightsError | None = None


def find_models(stages: Mapping[str, Settings]) -> dict[str, ModelPath]:
    """Find every model that stages name: dotted path of the parameter -> location."""
    return {path: value for path, _, value in walk_settings(stages) if isinstance(value, ModelPath)}


def find_place(spec: str) -> Path:
    """Resolve a model's location, or that of bare ``open_clip:`` weights.

    Raises:
        WeightsError: if there is nothing.
    """
    if not spec.startswith(OPEN_CLIP_SCHEME):
        return locate(spec)
    place = spec.partition("@")[2]
    if not place:
        raise WeightsError(spec, "it names no file after @", f"Write {OPEN_CLIP_SCHEME}<architecture>/<release>@<file>")
    return locate(place)


def locate_models(stages: Mapping[str, Settings]) -> dict[str, dict[str, str]]:
    """Find the models of :func:`find_models` on disk and check that their files are whole; no weights are read.

    Returns:
        Dotted path -> ``spec`` as configured and the resolved ``path``.

    Raises:
        WeightsError: if one is not there, is of another kind, or a file of it is missing or damaged. All such models
            are named at once.
    """
    found, refused = {}, []
    for name, owner, spec in walk_settings(stages):
        if not isinstance(spec, ModelPath):
            continue
        try:
            found[name] = {"spec": str(spec), "path": str(_check(name, spec, owner))}
        except WeightsError as error:
            refused.append(error)
    if len(refused) > 1:
        causes = dict.fromkeys(error.cause for error in refused)
        raise WeightsError("; ".join(error.item for error in refused), "; ".join(causes), _HOW_TO_GET)
    if refused:
        raise refused[0]
    return found


def describe_models(stages: Mapping[str, Settings]) -> list[NamedModel]:
    """Describe every model that stages name, whole or not, in the order of the stages."""
    models = []
    for name, owner, spec in walk_settings(stages):
        if isinstance(spec, ModelPath):
            stage = stages[name.partition(".")[0]]
            devices = (getattr(place, "device", None) for place in (owner, stage, getattr(stage, "trainer", None)))
            device = str(next(filter(None, devices), CPU))
            models.append(_complete(NamedModel(name, str(spec), device, _dtype_of(owner)), spec, owner))
    return models


def _complete(model: NamedModel, spec: ModelPath, owner: object) -> NamedModel:
    """Add what the files say to what the configuration says."""
    try:
        path = _check(model.parameter, spec, owner)
    except WeightsError as error:
        return replace(model, problem=error)
    counts = count_parameters(path, _gguf_of(owner))
    return replace(model, path=path, origin=find_origin(model.spec, path), counts=counts)


def _dtype_of(owner: object) -> str:
    if getattr(owner, "quantization", None):
        return "quantised"
    return str(getattr(owner, "dtype", _AS_IN_CODE))


def _gguf_of(owner: object) -> str | None:
    return owner.gguf_file if isinstance(owner, ModelFiles) else None


def _check(name: str, spec: ModelPath, owner: object) -> Path:
    """Return where a model is, when its files are whole.

    Raises:
        WeightsError: if they are not; the error names the parameter, too.
    """
    try:
        place = find_place(spec)
        if spec.marker and not (place / spec.marker).is_file():
            raise WeightsError(place / spec.marker, "no such file", f"Give a directory that has a {spec.marker}")
        check_model(place, _gguf_of(owner))
    except WeightsError as error:
        raise WeightsError(f"{name}: {error.item}", error.cause, error.remedy) from error
    return place
