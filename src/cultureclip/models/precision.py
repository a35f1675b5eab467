"""Choice of the number type that a machine computes fast in."""

import torch


def fast_dtype(device: str) -> torch.dtype:
    """Return bfloat16 if the device multiplies it natively, else float32."""
    if torch.device(device).type == "cuda":
        native = torch.cuda.is_available() and torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere and later
        return torch.bfloat16 if native else torch.float32
    has: dict[str, object] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # torch before 2.10 cannot tell: float32 is always right
    return torch.bfloat16 if has.get("avx512_bf16") or has.get("amx_bf16") else torch.float32
