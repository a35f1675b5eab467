"""What the parameters of several stages have in common."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Device = Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")]
"""Where a model runs."""


class Settings(BaseModel):
    """Validated values that cannot be changed; a key that nothing reads is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LanguageModelSettings(Settings):
    """Which language model is asked, and where it runs."""

    path: str = Field(min_length=1)
    gguf_file: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: Device = "cpu"
    batch: int = Field(default=32, ge=1, le=4096)
