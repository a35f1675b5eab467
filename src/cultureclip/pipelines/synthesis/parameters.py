"""Parameters of the synthesis stage."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from cultureclip.models.settings import DiffusersPath
from cultureclip.settings_base import Device, Settings


class CallParameters(Settings):
    """Arguments of the pipeline's call, passed on as they are.

    Those that every pipeline takes are bounded here; others are checked against the signature of the model's class.
    """

    model_config = ConfigDict(extra="allow")

    num_inference_steps: int = Field(ge=1, le=1000)
    guidance_scale: float = Field(ge=0, le=100)
    height: int = Field(ge=8, le=4096)
    width: int = Field(ge=8, le=4096)


class SynthesisParameters(Settings):
    """What to generate, with what, and how much at once.

    Attributes:
        model: A diffusers pipeline directory: a path or ``package:<module>/<path>``.
        device: Where the model runs: cpu, cuda, cuda:1 ...
        dtype: Of weights and arithmetic; part of an image's id.
        scheduler: ``_class_name`` and settings that replace the directory's own; null keeps them.
        call: Arguments of the pipeline's call; part of an image's id.
        images_per_caption: Images a caption.
        batch_size: Images at once; halved by itself when memory runs out.
        part_size: Images a stored file: what a crash can cost.
        shard_digits: Hex digits of the image id that name a shard: 16 shards a digit.
        verify: Compare every stored byte with its checksum before generating. Switch off for stores of many GB; sizes
            are compared always, and so is every byte that is read.
        contact_sheet_images: Images on the contact sheet.
    """

    model: DiffusersPath
    device: Device
    dtype: Literal["float32", "bfloat16", "float16"]
    scheduler: dict[str, Any] | None
    call: CallParameters
    images_per_caption: int = Field(ge=1, le=1000)
    batch_size: int = Field(ge=1, le=4096)
    part_size: int = Field(ge=1, le=100_000)
    shard_digits: int = Field(ge=1, le=4)
    verify: bool
    contact_sheet_images: int = Field(ge=2, le=400)
