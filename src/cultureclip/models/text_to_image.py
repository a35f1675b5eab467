"""A text-to-image pipeline from a local diffusers directory: the same code drives pocket's generator and SD3.5."""

import importlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.diffusers_files import INDEX_NAME, check_files, list_parts, read_json, scheduler_settings
from cultureclip.models.finite import check_computed, check_finite
from cultureclip.models.memory import fitting_into_memory, is_out_of_memory

_MEMORY_REMEDY = "Set synthesis.dtype to bfloat16, take a smaller model, or set synthesis.device to a larger one"
_PIXELS = "pictures have pixels"
_LIBRARIES = ("diffusers", "transformers")
_GIVEN_BY_US = frozenset(
    {"self", "prompt", "generator", "output_type", "return_dict", "num_images_per_prompt", "latents"}
)


@dataclass
class TextToImage:
    """A loaded pipeline.

    Attributes:
        pipeline: The diffusers pipeline, on its device and in its dtype.
        source: Directory of the model; errors name it.
    """

    pipeline: Any
    source: Path

    @torch.inference_mode()
    def generate(self, prompts: Sequence[str], seeds: Sequence[int], call: Mapping[str, Any]) -> list[Image.Image]:
        """Return one picture per prompt.

        Each item has its own CPU generator, so its start noise is the same in any batch and on any device.

        Args:
            prompts: B texts.
            seeds: B seeds.
            call: Further arguments of the pipeline's call, passed on as they are.

        Raises:
            ConfigurationError: if the pipeline does not take a value of the call.
            WeightsError: if a picture holds NaN or infinity: it would be stored as black.
        """
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        try:
            with _quiet_libraries():  # they list the cut tokens of every prompt in a batch, padding included
                pixels = self.pipeline(prompt=list(prompts), generator=generators, output_type="np", **call).images
        except (ValueError, TypeError) as error:
            raise ConfigurationError("synthesis.call", str(error), "Change the value that is named") from error
        check_computed(torch.from_numpy(pixels), self.source, _PIXELS)
        pictures: list[Image.Image] = VaeImageProcessor.numpy_to_pil(pixels)
        return pictures

    def find_cut(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Return the prompts whose end is not drawn, because they have more tokens than any text encoder reads."""
        parts = self.pipeline.components.items()
        tokenizers = [part for name, part in parts if name.startswith("tokenizer") and part is not None]
        with _quiet_libraries():
            lengths = [list(map(len, tokenizer(list(prompts)).input_ids)) for tokenizer in tokenizers]
        limits = [tokenizer.model_max_length for tokenizer in tokenizers]
        return tuple(
            prompt
            for prompt, counts in zip(prompts, zip(*lengths, strict=True), strict=True)
            if all(count > limit for count, limit in zip(counts, limits, strict=True))
        )


def check_call(path: str | Path, call: Mapping[str, Any]) -> None:
    """Check call arguments against the signature of the directory's pipeline class; no weights are read.

    Raises:
        ConfigurationError: if the class does not take an argument, or this package sets it itself.
        WeightsError: if the directory names no pipeline class of diffusers.
    """
    pipeline_class = _pipeline_class(Path(path))
    known = set(inspect.signature(pipeline_class.__call__).parameters) - _GIVEN_BY_US
    for name in call:
        if name not in known:
            cause = f"no argument that can be set for {pipeline_class.__name__}"
            raise ConfigurationError(f"synthesis.call.{name}", cause, f"Use some of: {', '.join(sorted(known))}")


def check_scheduler(settings: Mapping[str, Any]) -> None:
    """Check that a scheduler can be built from its settings; no weights are read.

    Raises:
        ConfigurationError: if it cannot.
    """
    _build_scheduler(settings)


def load_text_to_image(
    path: str | Path, device: str, dtype: str, scheduler: Mapping[str, Any] | None = None
) -> TextToImage:
    """Load a pipeline directory by its own class, from safetensors, offline.

    Args:
        path: Directory with ``model_index.json``. Parts that it lists as null, or that its class wants and it does not
            list (SD3.5 without its T5 encoder), stay absent.
        device: Device of the model.
        dtype: Name of a torch dtype for all parts, e.g. ``bfloat16``.
        scheduler: ``_class_name`` and settings that replace the directory's own; None keeps them.

    Raises:
        WeightsError: if a part is missing, truncated, in a refused format, differs from its config, or holds NaN or
            infinity, also after the change to ``dtype``.
        ConfigurationError: if the device or the scheduler class does not exist here, or the model does not fit
            into memory.
    """
    folder, precision = Path(path), getattr(torch, dtype)
    check_files(folder)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("synthesis.device", f"no {device} on this machine", "Set it to cpu")
    with fitting_into_memory(folder, _MEMORY_REMEDY, f"the memory of {device}"):
        pipeline = _load_pipeline(folder, precision)
        if scheduler is not None:
            pipeline.scheduler = _build_scheduler(scheduler_settings(folder, scheduler))
        pipeline.set_progress_bar_config(disable=True)
        _watch(pipeline, folder)
        return TextToImage(pipeline.to(device), folder)


def _load_pipeline(folder: Path, precision: torch.dtype) -> Any:
    """Load all parts onto the CPU; parts that the class wants and the directory lacks stay absent."""
    pipeline_class, parts = _pipeline_class(folder), list_parts(folder)
    wanted = inspect.signature(pipeline_class.__init__).parameters.values()
    required = [p.name for p in wanted if p.name != "self" and p.default is p.empty]
    absent = {name: None for name in required if parts.get(name, (None, None))[0] is None}
    try:
        with _quiet_libraries():
            modules = {name: _load_module(folder / name, kind, precision) for name, kind in _models(parts).items()}
            pipeline = pipeline_class.from_pretrained(folder, local_files_only=True, **modules, **absent)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        raise WeightsError(folder, f"weights and config disagree ({error})", "Take both from one release") from error
    return pipeline


def _watch(pipeline: Any, folder: Path) -> None:
    """Check that all weights are finite, and have every decoded picture checked."""
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            check_finite(part.state_dict(), folder / name)
    if isinstance(decoder := getattr(getattr(pipeline, "vae", None), "decoder", None), torch.nn.Module):
        decoder.register_forward_hook(partial(_check_decoded, folder))


def _check_decoded(folder: Path, _decoder: Any, _inputs: Any, decoded: Any) -> None:
    """Check pixels before the pipeline clips them, which turns infinity into white or black."""
    if isinstance(decoded, torch.Tensor):
        check_computed(decoded, folder, _PIXELS)


def _pipeline_class(folder: Path) -> Any:
    name = read_json(folder / INDEX_NAME).get("_class_name")
    found = getattr(diffusers, name, None) if isinstance(name, str) else None
    if not (inspect.isclass(found) and issubclass(found, diffusers.DiffusionPipeline)):
        remedy = "Code from a model directory is not run: use a pipeline class that diffusers ships"
        raise WeightsError(folder / INDEX_NAME, f"{name!r} is not a pipeline class of diffusers", remedy)
    return found


def _models(parts: Mapping[str, tuple[str | None, str | None]]) -> dict[str, Any]:
    """Return the classes of the parts that are torch modules of the two libraries."""
    kinds = {
        name: getattr(importlib.import_module(library), class_name, None)
        for name, (library, class_name) in parts.items()
        if library in _LIBRARIES and class_name is not None
    }
    return {name: kind for name, kind in kinds.items() if inspect.isclass(kind) and issubclass(kind, torch.nn.Module)}


def _load_module(part: Path, model_class: Any, dtype: torch.dtype) -> torch.nn.Module:
    """Load one part; both libraries would fill missing weights with random numbers and only log it."""
    loaded, info = model_class.from_pretrained(
        part, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    if missing := sorted(info["missing_keys"]):
        cause = f"{len(missing)} weights that the config asks for are missing, first {missing[0]}"
        raise WeightsError(part, cause, "Take weights and config from one release")
    # Older diffusers do not know ``dtype`` on loading; a needless cast would undo parts that are kept in float32.
    model: torch.nn.Module = loaded if loaded.dtype == dtype else loaded.to(dtype)
    return model


def _build_scheduler(settings: Mapping[str, Any]) -> Any:
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
def _quiet_libraries() -> Iterator[None]:
    """Silence bars and notes of the libraries; ``_load_module`` and ``find_cut`` report the important ones."""
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
