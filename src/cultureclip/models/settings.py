"""Settings that name a model: its location and its kind."""

from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

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


class ImageMemory(Settings):
    """How a text-to-image model trades memory for time.

    None of it is part of an image's id, because it changes at most an image's last bits; what is not the default is
    recorded with each image.

    Attributes:
        text_encoders: ``resident``: on the device all the time. ``offloaded``: a part's prompts are embedded first,
            then the text encoders wait in the machine's memory while the part is denoised. ``freed``: they are dropped
            and read again from disk for the next part.
        offload: What of the others is on the device: ``none``: all of it; ``model``: the one model at work;
            ``sequential``: the one layer at work.
        vae_slicing: Decode the images of a batch one by one.
        compile: Compile the denoiser with ``torch.compile``.
        pad_batches: Fill the last batch of a shard with repeats, so that every batch has the same shape.
    """

    text_encoders: Literal["resident", "offloaded", "freed"] = "resident"
    offload: Literal["none", "model", "sequential"] = "none"
    vae_slicing: bool = False
    compile: bool = False
    pad_batches: bool = False

    @model_validator(mode="after")
    def _check_compile(self) -> Self:
        if self.compile and self.offload == "sequential":
            raise ValueError("compile: layers that come and go cannot be compiled; leave out one of the two")
        return self

    def changed(self) -> dict[str, JsonValue]:
        """Return the options that are not the defaults."""
        return self.model_dump(exclude_defaults=True)


class ModelFiles(Settings):
    """The files of a model.

    Attributes:
        path: Directory, or one file of weights.
        gguf_file: Name of the GGUF file in the directory that holds the weights, if any.
    """

    path: ModelPath
    gguf_file: str | None = None


class LanguageModelSettings(ModelFiles):
    """The language model to ask, in the Hugging Face format or of a GGUF file, and its device.

    Attributes:
        dtype: Number type of the computation, to which the weights of a GGUF file are unpacked; ``auto`` is bfloat16 if
            the device multiplies it natively, else float32.
        device: Device of the weights.
        device_map: Way in which ``accelerate`` spreads a model over devices; None: ``device`` holds the whole model.
        quantization: A quantisation config of ``transformers``, passed through, such as ``{quant_method: bitsandbytes,
            load_in_4bit: true}``; the package of the method must be installed.
        batch: Most prompts computed together.
    """

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    device: Device = CPU
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = None
    quantization: dict[str, JsonValue] | None = None
    batch: int = Field(default=32, ge=1, le=4096)

    @property
    def prices(self) -> None:
        """None: tokens of a model in this process have no price, as those of some servers have."""
        return None

    @model_validator(mode="after")
    def _check_quantization(self) -> Self:
        if self.quantization is not None and self.gguf_file is not None:
            raise ValueError("quantization: the weights of a GGUF file are unpacked; leave out one of the two")
        return self
