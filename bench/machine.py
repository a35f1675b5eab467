"""What every benchmark says about where it ran, and how memory is measured: in a process of its own."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import torch

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "avx512_vnni")


def describe_machine() -> str:
    """Processor, its flags that matter to matrix products, threads, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    found = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    flags = [flag for flag in FLAGS if flag in found.get("flags", "").split()]
    name = found.get("model name", platform.processor())
    return (
        f"{name}, {os.cpu_count()} cores, flags {' '.join(flags) or 'unknown'}; torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}"
    )


def run_alone(script: str, **arguments: Any) -> dict[str, Any]:
    """Run a benchmark's script in a process of its own and return the JSON object of its last line."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in arguments.items()]
    done = subprocess.run([sys.executable, script, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(options)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_memory() -> int:
    """Most bytes that this process has held at once (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().rss


def reset_peak_memory() -> int:
    """Forget the peak, and return what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return psutil.Process().memory_info().rss
