"""GPUs of this machine, and which models' weights alone are too large for one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cultureclip.models.named import NamedModel
from cultureclip.readiness.finding import Finding
from cultureclip.settings_base import CPU

GB = 1e9
_AUTO = "auto"


@dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        device: As configurations name it.
        name: Its model.
        total: Bytes of its memory.
        free: Bytes that nobody uses now.
    """

    device: str
    name: str
    total: int
    free: int


def list_gpus() -> list[Gpu]:
    """List the GPUs that CUDA shows; there may be none."""
    import torch

    if not torch.cuda.is_available():
        return []
    gpus = []
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        gpus.append(Gpu(f"cuda:{number}", torch.cuda.get_device_name(number), total, free))
    return gpus


def weights_at_work(model: NamedModel) -> int | None:
    """Return the bytes of a model's weights on its device: without activations; None if they are not known."""
    if model.counts is None:
        return None
    dtype = model.dtype
    if dtype == _AUTO:
        dtype = _fast_dtype(model.device)
    return model.counts.bytes_in(dtype)


def _fast_dtype(device: str) -> str:
    """Return what ``auto`` means on a device; on a GPU that is not here, what the recent ones compute in."""
    from cultureclip.models.precision import fast_dtype

    try:
        return "bfloat16" if device != CPU and not list_gpus() else str(fast_dtype(device)).removeprefix("torch.")
    except (RuntimeError, AssertionError):  # a device that is not here: another finding says so
        return "bfloat16"


def find_too_large(models: Sequence[NamedModel], gpus: Sequence[Gpu]) -> Iterator[Finding]:
    """Find models whose weights alone do not fit on the GPU that their settings name."""
    by_device = {gpu.device: gpu for gpu in gpus}
    for model in models:
        gpu = by_device.get("cuda:0" if model.device == "cuda" else model.device)
        needed = weights_at_work(model)
        if gpu is not None and needed is not None and needed > gpu.total:
            what = (
                f"its weights alone take {needed / GB:.1f} GB in {model.dtype}; {gpu.name} has {gpu.total / GB:.1f} GB"
            )
            remedy = "Set a smaller dtype, quantization or device_map: balanced, or take a larger GPU"
            yield Finding(model.parameter, what, remedy)
