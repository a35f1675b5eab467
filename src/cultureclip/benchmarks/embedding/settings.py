"""Settings of an embedding pass."""

from typing import Literal

from pydantic import Field

from cultureclip.settings_base import CPU, Device, Settings


class EmbeddingSettings(Settings):
    """Precision, batch and device of an embedding pass.

    Attributes:
        precision: ``fp32``; ``bf16``, which computes matrix products of the image tower in bfloat16 and may decide
            near-ties differently; or ``auto``, ``bf16`` if the device computes it natively. Texts are embedded in fp32:
            a question's options differ by a word, and rounding them moves ten times as many answers.
        batch: Most items in one forward pass; halved, down to 1, when memory runs out. None: 32 on a CPU, so that a
            layer's output stays in its cache, and 256 elsewhere.
        device: Device of the model.
    """

    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    batch: int | None = Field(default=None, ge=1, le=4096)
    device: Device = CPU
