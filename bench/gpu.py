"""All that this project does on a GPU, in eight minutes: is it right, and how fast.

    python bench/gpu.py [--device cuda] [--seconds 480] [--parts correctness train_b32 ...] [--tiny]

Weights are random, shapes are real.

| part | what is measured |
|---|---|
| ``correctness`` | gradient of a training step and pictures of pocket's generator, against the CPU's |
| ``train_b32``, ``train_l14`` | a step of ViT-B/32 and ViT-L/14 with LoRA: the released way, ours, fp32, bf16 |
| ``synthesis`` | images per second in Stable Diffusion 3.5 Large Turbo's shape, without and with each option |
| ``chunks`` | a step of ViT-B/32 at once, in chunks (gradient caching), and compiled |
| ``group`` | two processes over NCCL against one; needs two GPUs |

Each part is a process of its own with a time limit. It prints a JSON object per figure as soon as it has one, so that a
run that is cut off still tells what it found. The last line is one JSON object with all of them. ``--device cpu
--tiny`` runs the same code in small shapes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PARTS = {
    "correctness": ("gpu_training.py", 90),
    "train_b32": ("gpu_training.py", 90),
    "synthesis": ("gpu_synthesis.py", 210),
    "chunks": ("gpu_training.py", 90),
    "train_l14": ("gpu_training.py", 110),
    "group": ("gpu_training.py", 60),
}
"""Part -> its script and its limit in seconds, the most important first."""


def run_part(name: str, limit: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run a part, print its lines as they come, and return its figures and how it ended."""
    script = FOLDER / PARTS[name][0]
    command = [sys.executable, str(script), name, "--device", options.device, *(["--tiny"] if options.tiny else [])]
    began, figures, said = time.monotonic(), [], []
    print(f"== {name}, at most {limit:.0f} s", flush=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, **pipes) as process:
        threads = [
            threading.Thread(target=collect, args=(process.stdout, figures, said)),
            threading.Thread(target=said.extend, args=(process.stderr,)),
        ]
        for thread in threads:
            thread.start()
        try:
            ended = "done" if process.wait(limit) == 0 else "failed"
        except subprocess.TimeoutExpired:
            stop(process)
            ended = "cut off"
        for thread in threads:
            thread.join()
    if ended == "failed":
        print("".join(said[-12:]), flush=True)
    return {"ended": ended, "seconds": round(time.monotonic() - began, 1), "figures": figures}


def stop(process: subprocess.Popen[str]) -> None:
    """End a part with the processes that it started; torchrun ends its workers, which are in sessions of their own."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):  # the part has ended, and left nobody
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def collect(lines: Any, figures: list[dict[str, Any]], said: list[str]) -> None:
    """Print a part's lines and keep those that are figures."""
    for line in lines:
        print(line, end="", flush=True)
        if line.startswith("{"):
            figures.append(json.loads(line))
        else:
            said.append(line)


def find_gpu(device: str) -> str | None:
    """Name, memory and CUDA of the device, or None if it is not there; in a process of its own: CUDA cannot be left."""
    code = (
        "import torch\n"
        f"found = torch.cuda.get_device_properties({device!r})\n"
        "print(f'{found.name}, {found.total_memory / 1e9:.0f} GB, compute capability {found.major}.{found.minor}, '\n"
        "      f'CUDA {torch.version.cuda}, torch {torch.__version__}')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=480, help="limit of all parts together")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="small shapes, to see that everything runs")
    options = parser.parse_args()
    gpu = None
    if options.device.startswith("cuda") and (gpu := find_gpu(options.device)) is None:
        print(json.dumps({"gpu": None, "parts": {}}), flush=True)
        raise SystemExit(f"No GPU: torch sees no {options.device} here. To try the script: --device cpu --tiny")
    end, found = time.monotonic() + options.seconds, {}
    for name in options.parts:
        limit = min(PARTS[name][1] if not options.tiny else options.seconds, end - time.monotonic())
        found[name] = run_part(name, limit, options) if limit > 1 else {"ended": "no time", "seconds": 0, "figures": []}
    print(json.dumps({"gpu": gpu, "device": options.device, "tiny": options.tiny, "parts": found}))


if __name__ == "__main__":
    main()
