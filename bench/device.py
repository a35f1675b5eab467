"""What the parts of ``bench/gpu.py`` share: figures as they come, and a device that computes what it says."""

import gc
import json

import torch


def say(**figures: object) -> None:
    """Print one figure as soon as it is there."""
    print(json.dumps(figures), flush=True)


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def use(device: str) -> None:
    """Let CUDA's defaults be this device, and compute fp32 in fp32: convolutions would have TF32's ten bits."""
    if is_cuda(device) and ":" in device:
        torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def wait(device: str) -> None:
    """Let the device finish what it was given."""
    if is_cuda(device):
        torch.cuda.synchronize()


def held(device: str) -> int:
    """Free what nobody holds, forget the peak, and return the bytes that are held."""
    gc.collect()
    if not is_cuda(device):
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def peak_gb(device: str, before: int = 0) -> float | None:
    """The most memory since :func:`held`, beyond some bytes, in GB; None on a CPU."""
    return round((torch.cuda.max_memory_allocated() - before) / 1e9, 2) if is_cuda(device) else None
