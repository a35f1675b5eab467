"""A text-to-image pipeline from a local diffusers directory: the same code drives pocket's generator and SD3.5."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from cultureclip.errors import ConfigurationError
from cultureclip.models.diffusion.diffusers_files import check_files, scheduler_settings
from cultureclip.models.diffusion.image_families import Family, find_family
from cultureclip.models.diffusion.image_memory import TextEncoders, compile_denoiser, place, set_decoding
from cultureclip.models.diffusion.image_pipeline import (
    build_scheduler,
    cast_layerwise,
    check_quantization,
    load_pipeline,
    pipeline_class,
    quiet_libraries,
    reload_module,
)
from cultureclip.models.finite import check_computed, check_finite
from cultureclip.models.image_embedding import EmbeddedPrompts, embed_prompts, spread_negative, without_texts
from cultureclip.models.memory import fitting_into_memory
from cultureclip.models.settings import ImageMemory

_MEMORY_REMEDY = (
    "Set synthesis.memory.offload to model, or synthesis.dtype to bfloat16, take a smaller model, or set "
    "synthesis.device to a larger one"
)
_PIXELS = "pictures have pixels"
_GIVEN_BY_US = frozenset(
    {"self", "prompt", "generator", "output_type", "return_dict", "num_images_per_prompt", "latents"}
)


@dataclass
class TextToImage:
    """A loaded pipeline.

    Attributes:
        pipeline: The diffusers pipeline, on its device and in its dtype.
        source: Directory of the model; errors name it.
        device: Device that it computes on.
        family: Family of the pipeline; None if it is not in the table of families.
        text_encoders: The text encoders, if the pipeline has them only while prompts are embedded.
    """

    pipeline: Any
    source: Path
    device: str = "cpu"
    family: Family | None = None
    text_encoders: TextEncoders | None = None

    @property
    def embeds_first(self) -> bool:
        """Whether prompts are embedded before the pictures of a part are generated."""
        return self.text_encoders is not None

    def embed(self, batches: Sequence[Sequence[str]], call: Mapping[str, Any]) -> list[EmbeddedPrompts]:
        """Embed the prompts of several batches, each in its own shape; the text encoders are loaded once for all.

        Args:
            batches: Texts of each batch.
            call: Arguments of the pipeline's call.

        Raises:
            ConfigurationError: if the text encoders are part of the pipeline all the time.
        """
        if self.text_encoders is None or self.family is None:
            remedy = "Set synthesis.memory.text_encoders to offloaded or freed"
            raise ConfigurationError("synthesis.memory.text_encoders", "prompts are embedded by the call", remedy)
        with self.text_encoders.at_work(), quiet_libraries():
            return [embed_prompts(self.pipeline, self.family, one, call, self.device).to("cpu") for one in batches]

    @torch.no_grad()  # as diffusers does: hooks that move parts cannot replace tensors of inference mode
    def generate(
        self, prompts: Sequence[str] | EmbeddedPrompts, seeds: Sequence[int], call: Mapping[str, Any]
    ) -> list[Image.Image]:
        """Return one picture per prompt.

        Each item has its own CPU generator, so its start noise is the same in any batch and on any device.

        Args:
            prompts: B texts, or what :meth:`embed` made of them.
            seeds: B seeds.
            call: Further arguments of the pipeline's call, passed on as they are.

        Raises:
            ConfigurationError: if the pipeline does not take a value of the call.
            WeightsError: if a picture holds NaN or infinity: it would be stored as black.
        """
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        if isinstance(prompts, EmbeddedPrompts):
            arguments = {**without_texts(self.pipeline, call), **prompts.to(self.device).tensors}
        else:
            arguments = {**spread_negative(call, len(prompts)), "prompt": list(prompts)}
        try:
            with quiet_libraries():  # they list the cut tokens of every prompt in a batch, padding included
                pixels = self.pipeline(generator=generators, output_type="np", **arguments).images
        except (ValueError, TypeError) as error:
            raise ConfigurationError("synthesis.call", str(error), "Change the value that is named") from error
        check_computed(torch.from_numpy(pixels), self.source, _PIXELS)
        pictures: list[Image.Image] = VaeImageProcessor.numpy_to_pil(pixels)
        return pictures

    def find_cut(self, prompts: Sequence[str]) -> tuple[str, ...]:
        """Return the prompts whose end is not drawn, because they have more tokens than any text encoder reads."""
        parts = self.pipeline.components.items()
        tokenizers = [part for name, part in parts if name.startswith("tokenizer") and part is not None]
        with quiet_libraries():
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
    kind = pipeline_class(Path(path))
    known = set(inspect.signature(kind.__call__).parameters) - _GIVEN_BY_US
    for name in call:
        if name not in known:
            cause = f"no argument that can be set for {kind.__name__}"
            raise ConfigurationError(f"synthesis.call.{name}", cause, f"Use some of: {', '.join(sorted(known))}")


def check_scheduler(settings: Mapping[str, Any]) -> None:
    """Check that a scheduler can be built from its settings; no weights are read.

    Raises:
        ConfigurationError: if it cannot.
    """
    build_scheduler(settings)


@dataclass(frozen=True)
class LoadOptions:
    """What changes how a pipeline works, besides its device and number type.

    Attributes:
        scheduler: ``_class_name`` and settings that replace the directory's own; None keeps them.
        quantization: Part -> fields of its quantisation config.
        vae_tiling: Whether large pictures are decoded tile by tile.
        memory: Where the parts are while it works.
    """

    scheduler: Mapping[str, Any] | None = None
    quantization: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    vae_tiling: bool = False
    memory: ImageMemory = field(default_factory=ImageMemory)


def load_text_to_image(path: str | Path, device: str, dtype: str, options: LoadOptions | None = None) -> TextToImage:
    """Load a pipeline directory by its own class, from safetensors, offline.

    Args:
        path: Directory with ``model_index.json``. Parts that it lists as null, or that its class wants and it does not
            list (SD3.5 without its T5 encoder), stay absent.
        device: Device of the model.
        dtype: Name of a torch dtype for all parts, e.g. ``bfloat16``.
        options: Scheduler, quantisation and memory; None: the directory's own, none, all on the device.

    Raises:
        WeightsError: if a part is missing, truncated, in a refused format, differs from its config, or holds NaN or
            infinity, also after the change to ``dtype``.
        ConfigurationError: if the device or the scheduler class does not exist here, an option does not fit the
            pipeline, or the model does not fit into memory.
    """
    folder, precision, chosen = Path(path), getattr(torch, dtype), options or LoadOptions()
    memory, quantization = chosen.memory, chosen.quantization
    check_files(folder)
    check_quantization(folder, quantization)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError("synthesis.device", f"no {device} on this machine", "Set it to cpu")
    if memory.text_encoders != "resident" and find_family(folder) is None:
        cause = f"nobody has named what {pipeline_class(folder).__name__}.encode_prompt returns"
        raise ConfigurationError("synthesis.memory.text_encoders", cause, "Set it to resident")
    with fitting_into_memory(folder, _MEMORY_REMEDY, f"the memory of {device}"):
        pipeline = load_pipeline(folder, precision, quantization)
        if chosen.scheduler is not None:
            pipeline.scheduler = build_scheduler(scheduler_settings(folder, chosen.scheduler))
        pipeline.set_progress_bar_config(disable=True)
        _watch(pipeline, folder)
        cast_layerwise(pipeline, quantization)
        set_decoding(pipeline, slicing=memory.vae_slicing, tiling=chosen.vae_tiling)
        again = partial(reload_module, folder, precision, quantization) if memory.text_encoders == "freed" else None
        return put_to_work(TextToImage(pipeline, folder, device, find_family(folder)), memory, again)


def put_to_work(model: TextToImage, memory: ImageMemory, load: Callable[[str], torch.nn.Module] | None) -> TextToImage:
    """Put a pipeline that is on the CPU onto its device, as the options of memory say; returns the model.

    Args:
        model: The model.
        memory: Where its parts are while it works.
        load: Reads a text encoder again by its name; None: they are kept.

    Raises:
        ConfigurationError: if the pipeline cannot be offloaded so.
    """
    if memory.text_encoders != "resident":
        keeps_others = memory.offload != "none"
        model.text_encoders = TextEncoders(model.pipeline, model.device, keeps_others=keeps_others, load=load)
    place(model.pipeline, model.device, memory)
    if memory.compile:
        compile_denoiser(model.pipeline)
    return model


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
