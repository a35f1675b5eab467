"""Settings that name a model: where it lies, and of which kind it must be."""

from typing import Literal

from pydantic import Field

from cultureclip.settings_base import CPU, Device, Settings, TypedText


class ModelPath(TypedText):
    """Location of a model.

    A path; ``package:<module>/<path>``; ``hf:<owner>/<name>@<revision>``; or, where models are only compared,
    ``open_clip:<architecture>/<release>@<location>``. The checks before a run look for every one of this type.

    Attributes:
        marker: File that a directory of the wanted kind has; None allows any kind.
    """

    __slots__ = ()
    marker: str | None = None


class OpenClipPath(ModelPath):
    """Location of a directory that ``open_clip`` loads."""

    __slots__ = ()
    marker = "open_clip_config.json"


class JudgePath(OpenClipPath):
    """Location of a model that judges: it must not have the weights of the model that is tuned."""

    __slots__ = ()


class DiffusersPath(ModelPath):
    """Location of a ``diffusers`` pipeline's directory."""

    __slots__ = ()
    marker = "model_index.json"


class LanguageModelSettings(Settings):
    """Which language model is asked, and where it runs.

    Attributes:
        path: Directory in the Hugging Face format, or of a GGUF file.
        gguf_file: Name of the GGUF file in it, when the weights lie in one; they are unpacked to ``dtype``.
        dtype: What to compute in; ``auto`` is bfloat16 where the device multiplies it natively, else float32.
        device: Where the weights lie.
        batch: Most prompts computed together.
    """

    path: ModelPath
    gguf_file: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: Device = CPU
    batch: int = Field(default=32, ge=1, le=4096)
