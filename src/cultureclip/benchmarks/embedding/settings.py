"""Settings of an embedding pass."""

from typing import Literal

from pydantic import Field

from cultureclip.settings_base import CPU, Device, Settings


class EmbeddingSettings(Settings):
    """How a model embeds pictures and texts.

    Attributes:
        precision: ``fp32``; ``bf16``, matrix products of the image tower in bfloat16, so that near-ties may be decided
            otherwise; or ``auto``, ``bf16`` where the device computes it natively. Texts are embedded in fp32 always:
            a question's options differ by a word, and rounding them moves ten times as many answers.
        batch: Most items in one forward pass; halved, down to 1, when memory runs out. None: 32 on a CPU, so that what
            a layer gives stays in its cache, and 256 elsewhere.
        device: Where the model runs.
    """

    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    batch: int | None = Field(default=None, ge=1, le=4096)
    device: Device = CPU
