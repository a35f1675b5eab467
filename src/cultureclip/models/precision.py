"""Choice of the number type that a machine computes in."""

import torch


def native_dtype(device: str) -> torch.dtype:
    """Return bfloat16 if the device has instructions that multiply it, else float32.

    On a CPU this says nothing about speed: see :func:`fast_dtype`. Weights take half the memory.
    """
    if torch.device(device).type == "cuda":
        native = torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
        return torch.bfloat16 if native else torch.float32
    has = _cpu_capabilities()
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32


def fast_dtype(device: str) -> torch.dtype:
    """Return the type that the device computes large matrix products faster in: bfloat16 or float32.

    An Intel processor is fast in bfloat16 with AMX alone. Some clouds hide AMX and leave avx512_bf16: a Xeon then made
    80 GFLOP/s per core in bfloat16 and 145 in float32, at pocket's sizes as at ViT-B/32's. AMD's processors have no
    AMX, and their avx512_bf16 is the faster way.
    """
    if torch.device(device).type == "cpu":
        has = _cpu_capabilities()
        if "intel" in str(has.get("cpu_name", "")).lower() and not has.get("amx_bf16"):
            return torch.float32
    return native_dtype(device)


def _cpu_capabilities() -> dict[str, object]:
    """Return what torch knows of the processor; torch before 2.10 knows nothing, and float32 is always right."""
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return found
