"""The parts of a diffusers pipeline's directory, loaded by their own classes, from safetensors, offline."""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.diffusion.diffusers_files import INDEX_NAME, list_parts, read_json
from cultureclip.models.memory import is_out_of_memory

LAYERWISE = "layerwise"
"""``quant_method`` of weights that are kept in 8 bits and computed in the pipeline's number type."""

_LIBRARIES = ("diffusers", "transformers")


def load_pipeline(folder: Path, precision: torch.dtype, quantization: Mapping[str, Mapping[str, Any]]) -> Any:
    """Load all parts onto the CPU; parts that the class wants and the directory lacks stay absent.

    Args:
        folder: The pipeline's directory.
        precision: Number type of all parts.
        quantization: Part -> fields of its quantisation config.

    Raises:
        WeightsError: if weights and config disagree.
        ConfigurationError: if a part cannot be quantised so.
    """
    kind, parts = pipeline_class(folder), list_parts(folder)
    wanted = inspect.signature(kind.__init__).parameters.values()
    required = [p.name for p in wanted if p.name != "self" and p.default is p.empty]
    absent = {name: None for name in required if parts.get(name, (None, None))[0] is None}
    try:
        with quiet_libraries():
            modules = {
                name: load_module(folder / name, part_class, precision, quantization.get(name))
                for name, part_class in model_classes(parts).items()
            }
            pipeline = kind.from_pretrained(folder, local_files_only=True, **modules, **absent)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        raise WeightsError(folder, f"weights and config disagree ({error})", "Take both from one release") from error
    return pipeline


def pipeline_class(folder: Path) -> Any:
    """Return the class that the directory's index names.

    Raises:
        WeightsError: if it is not a pipeline class of diffusers: code from a directory is not run.
    """
    name = read_json(folder / INDEX_NAME).get("_class_name")
    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        remedy = "Code from a model directory is not run: use a pipeline class that diffusers ships"
        raise WeightsError(folder / INDEX_NAME, f"{name!r} is not a pipeline class of diffusers", remedy)
    return found


def model_classes(parts: Mapping[str, tuple[str | None, str | None]]) -> dict[str, Any]:
    """Return the classes of the parts that are torch modules of the two libraries."""
    kinds = {
        name: getattr(importlib.import_module(library), class_name, None)
        for name, (library, class_name) in parts.items()
        if library in _LIBRARIES and class_name is not None
    }
    return {name: kind for name, kind in kinds.items() if inspect.isclass(kind) and issubclass(kind, torch.nn.Module)}


def reload_module(
    folder: Path, precision: torch.dtype, quantization: Mapping[str, Mapping[str, Any]], name: str
) -> torch.nn.Module:
    """Load one part of a pipeline that was loaded before; errors as :func:`load_module`."""
    with quiet_libraries():
        part_class = model_classes(list_parts(folder))[name]
        return load_module(folder / name, part_class, precision, quantization.get(name)).eval()


def load_module(
    part: Path, model_class: Any, dtype: torch.dtype, quantization: Mapping[str, Any] | None = None
) -> torch.nn.Module:
    """Load one part; both libraries would fill missing weights with random numbers and only log it.

    Args:
        part: The part's directory.
        model_class: Its class.
        dtype: Number type of its weights and its arithmetic.
        quantization: Fields of a quantisation config of the class's library; or ``quant_method: layerwise`` and
            ``storage``, the name of an 8-bit type.

    Raises:
        WeightsError: if weights are missing.
        ConfigurationError: if it cannot be quantised so.
    """
    by_library = quantization is not None and quantization.get("quant_method") != LAYERWISE
    options = {"quantization_config": dict(quantization)} if quantization and by_library else {}
    try:
        loaded, info = model_class.from_pretrained(
            part, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True, **options
        )
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        if not by_library:
            raise
        remedy = "Install the package of the method, and give fields that its config takes"
        raise ConfigurationError(f"synthesis.quantization.{part.name}", str(error), remedy) from error
    if missing := sorted(info["missing_keys"]):
        cause = f"{len(missing)} weights that the config asks for are missing, first {missing[0]}"
        raise WeightsError(part, cause, "Take weights and config from one release")
    # Older diffusers do not know ``dtype`` on loading; a needless cast would undo parts that are kept in float32.
    model: torch.nn.Module = loaded if by_library or loaded.dtype == dtype else loaded.to(dtype)
    return model


def check_quantization(folder: Path, quantization: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that each part to quantise is a model of the directory; no weights are read.

    Raises:
        ConfigurationError: if one is not, its method is not named, or a layerwise one names no 8-bit type.
        WeightsError: if the directory's index cannot be read.
    """
    known = model_classes(list_parts(folder))
    for name, fields in quantization.items():
        item = f"synthesis.quantization.{name}"
        if name not in known:
            raise ConfigurationError(item, f"no model in {folder}", f"Name some of: {', '.join(sorted(known))}")
        if "quant_method" not in fields:
            raise ConfigurationError(item, "no quant_method", f"Give it: {LAYERWISE}, bitsandbytes, torchao ...")
        if fields["quant_method"] == LAYERWISE:
            _storage(item, fields)
            if not hasattr(known[name], "enable_layerwise_casting"):
                raise ConfigurationError(item, "not a model of diffusers", "Use another method for text encoders")


def cast_layerwise(pipeline: Any, quantization: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep the weights of some parts in an 8-bit type; each layer is widened while it computes."""
    for name, fields in quantization.items():
        if fields["quant_method"] == LAYERWISE:
            part = getattr(pipeline, name)
            part.enable_layerwise_casting(_storage(f"synthesis.quantization.{name}", fields), part.dtype)


def _storage(item: str, fields: Mapping[str, Any]) -> torch.dtype:
    names = sorted(name for name, kind in vars(torch).items() if isinstance(kind, torch.dtype) and "float8_" in name)
    if set(fields) != {"quant_method", "storage"} or fields["storage"] not in names:
        raise ConfigurationError(f"{item}.storage", "not an 8-bit type", f"Give storage alone: {', '.join(names)}")
    storage: torch.dtype = getattr(torch, fields["storage"])
    return storage


def build_scheduler(settings: Mapping[str, Any]) -> Any:
    """Build a scheduler from its settings.

    Raises:
        ConfigurationError: if it cannot be built.
    """
    name = settings.get("_class_name")
    found = getattr(diffusers, str(name), None)
    if not (inspect.isclass(found) and issubclass(found, diffusers.SchedulerMixin)):
        remedy = "Name a scheduler class, e.g. FlowMatchEulerDiscreteScheduler"
        raise ConfigurationError("synthesis.scheduler._class_name", f"{name!r} is not a scheduler of diffusers", remedy)
    scheduler: Any = found
    try:
        return scheduler.from_config(dict(settings))
    except (TypeError, ValueError, NotImplementedError, ArithmeticError) as error:
        raise ConfigurationError("synthesis.scheduler", str(error), f"Set arguments that {name} takes") from error


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence bars and notes of the libraries; ``load_module`` and ``find_cut`` report the important ones."""
    loggings = [diffusers.utils.logging, transformers.utils.logging]
    levels = [logging.get_verbosity() for logging in loggings]
    shown = [logging.is_progress_bar_enabled() for logging in loggings]
    for logging in loggings:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging, level, bars in zip(loggings, levels, shown, strict=True):
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
