"""Settings of image generation."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator

from cultureclip.models.settings import DiffusersPath, ImageMemory
from cultureclip.settings_base import CPU, Device, Settings


class CallSettings(Settings):
    """Arguments of the pipeline's call, passed on as they are.

    Those that nearly every pipeline takes are bounded here; null leaves them to the model's family
    (:mod:`cultureclip.models.diffusion.image_families`). Others are checked against the signature of the model's class.
    """

    model_config = ConfigDict(extra="allow")

    num_inference_steps: int | None = Field(default=None, ge=1, le=1000)
    guidance_scale: float | None = Field(default=None, ge=0, le=100)
    height: int | None = Field(default=None, ge=8, le=4096)
    width: int | None = Field(default=None, ge=8, le=4096)

    def arguments(self) -> dict[str, Any]:
        """Return by name all arguments that are set, those of the model's own class included."""
        return {name: value for name, value in self if value is not None or name not in type(self).model_fields}


class GenerationSettings(Settings):
    """How images are generated.

    Attributes:
        model: A diffusers pipeline's directory.
        device: Device of the model.
        dtype: Number type of weights and arithmetic; part of an image's id. None: that of the model's family.
        scheduler: ``_class_name`` and settings that replace the directory's own; None keeps them.
        call: Arguments of the pipeline's call; part of an image's id.
        quantization: Part of the pipeline -> its quantisation config; part of an image's id. ``quant_method:
            layerwise`` with ``storage: float8_e4m3fn`` keeps weights in 8 bits; other methods are those of diffusers
            and transformers, whose packages must be installed.
        vae_tiling: Decode large pictures tile by tile. Tiles are blended where they meet, which can be seen, so this
            is part of an image's id.
        memory: How memory is traded for time; no part of an id.
        batch_size: Images at once; halved by itself when memory runs out.
        part_size: Images per stored file: the most that a crash can lose.
        draw: Number of the data's draw: another number gives other noise, and other ids.
    """

    model: DiffusersPath
    device: Device
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    scheduler: dict[str, Any] | None
    call: CallSettings
    quantization: dict[str, dict[str, JsonValue]] | None = None
    vae_tiling: bool = False
    memory: ImageMemory = ImageMemory()
    batch_size: int = Field(ge=1, le=4096)
    part_size: int = Field(ge=1, le=100_000)
    draw: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_offload(self) -> Self:
        if self.memory.offload != "none" and self.device == CPU:
            raise ValueError("memory.offload: parts are offloaded to the cpu, so device must be another one")
        return self
