"""Where the parts of a text-to-image pipeline are while it works: text encoders, denoiser and decoder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cultureclip.errors import ConfigurationError
from cultureclip.models.settings import ImageMemory


class TextEncoders:
    """Text encoders that are part of the pipeline only while prompts are embedded.

    The denoiser and the decoder leave the device meanwhile, so that the two groups are never on it together.

    Args:
        pipeline: The pipeline, on the CPU; loses its text encoders.
        device: Device to embed on.
        keeps_others: Whether the denoiser and the decoder are moved by hooks of their own.
        load: Reads a text encoder again by its name; None: the encoders wait on the CPU.
    """

    def __init__(
        self, pipeline: Any, device: str, *, keeps_others: bool, load: Callable[[str], torch.nn.Module] | None
    ) -> None:
        modules = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
        waiting = {name: part for name, part in modules.items() if name.startswith("text_encoder")}
        self._pipeline, self._device, self._load = pipeline, device, load
        self._others = [] if keeps_others else [name for name in modules if name not in waiting]
        self._names, self._waiting = tuple(waiting), waiting
        for name in waiting:
            setattr(pipeline, name, None)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Have the text encoders on the device inside the block, and the other parts after it."""
        try:
            self._move_others("cpu")
            for name in self._names:
                part = self._waiting.pop(name) if name in self._waiting or self._load is None else self._load(name)
                setattr(self._pipeline, name, part)
                part.to(self._device)
            yield
        finally:
            self._put_away()
            self._move_others(self._device)

    def reattach(self) -> None:
        """Give the text encoders that are kept back to the pipeline, on the CPU."""
        for name, part in self._waiting.items():
            setattr(self._pipeline, name, part)

    def _put_away(self) -> None:
        for name in self._names:
            part = getattr(self._pipeline, name)
            setattr(self._pipeline, name, None)
            if self._load is None and part is not None:  # null: memory ran out before it was there
                self._waiting[name] = part.to("cpu")
        if torch.device(self._device).type == "cuda":
            torch.cuda.empty_cache()

    def _move_others(self, device: str) -> None:
        for name in self._others:
            getattr(self._pipeline, name).to(device)


def place(pipeline: Any, device: str, memory: ImageMemory) -> None:
    """Put a pipeline onto its device, whole or as ``memory.offload`` says.

    Raises:
        ConfigurationError: if the pipeline cannot be offloaded so.
    """
    try:
        if memory.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif memory.offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
    except ValueError as error:
        raise ConfigurationError("synthesis.memory.offload", str(error), "Set it to none") from error


def set_decoding(pipeline: Any, *, slicing: bool, tiling: bool) -> None:
    """Have the decoder work image by image, or tile by tile.

    Raises:
        ConfigurationError: if the decoder's class cannot do so.
    """
    for item, wanted, name in (
        ("synthesis.memory.vae_slicing", slicing, "enable_slicing"),
        ("synthesis.vae_tiling", tiling, "enable_tiling"),
    ):
        if wanted:
            if (enable := getattr(pipeline.vae, name, None)) is None:
                raise ConfigurationError(item, f"not possible with {type(pipeline.vae).__name__}", "Set it to false")
            enable()


def compile_denoiser(pipeline: Any) -> None:
    """Compile the denoiser: its repeated blocks where its class names them, which takes a fraction of the time."""
    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()
