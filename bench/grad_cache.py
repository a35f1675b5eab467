"""Gradient caching on ViT-B/32: batches of 64 to 512 twins in chunks of 16 against the plain step where that fits.

    python bench/grad_cache.py [--precision fp32] [--plain-most 128]

Prints a table and, as its last line, one JSON object: ``peak_ratio`` is the memory that the largest batch adds over
that of the smallest, both in chunks; ``time_ratio`` and ``max_grad_diff`` compare with the plain step of the largest
batch that it was run on. The gradient's difference is relative to its largest entry.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from machine import describe_machine, peak_memory, reset_peak_memory, run_alone
from safetensors.torch import load_file, save_file
from vit_b32 import load_vit_b32, random_twins

from cultureclip.clip.data.batches import make_batch
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.losses import build_objective
from cultureclip.clip.settings import LoraSettings, RunSettings, TrainerSettings
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.step import TwinLoss

BATCHES, CHUNK, BUDGET = (64, 128, 256, 512), 16, 1.55


def measure(batch: int, chunk: int, precision: str, gradients: Path) -> dict[str, float]:
    """Seconds of a step after a warm-up, memory above what was held before both, and its gradient in a file."""
    _, encoder = load_vit_b32()
    settings = RunSettings(
        lora=LoraSettings(dropout=0.0), trainer=TrainerSettings(batch=batch, chunk=chunk or None, precision=precision)
    )
    adapter = LoraAdapter(encoder.model, settings.lora, seed=1)
    with torch.no_grad():
        for update in adapter.updates():
            update.b.normal_(0, 0.02, generator=torch.Generator().manual_seed(2))
    encoder.model.train()
    loss = TwinLoss(encoder, adapter, build_objective("cultureclip"), None, settings, Group())
    data = random_twins(encoder, batch)
    step = make_batch(data, torch.arange(batch), encoder)
    warm = make_batch(data, torch.arange(min(batch, CHUNK)), encoder)
    held = reset_peak_memory()  # before the warm-up: what it frees stays in the process's heap
    loss.backward(warm, None, 1.0, 0)
    for parameter in loss.parameters:
        parameter.grad = None
    began = time.perf_counter()
    value, _ = loss.backward(step, None, 1.0, 0)
    seconds = time.perf_counter() - began
    save_file({name: p.grad.contiguous() for name, p in adapter.named_parameters()}, gradients)
    return {"seconds": seconds, "peak": peak_memory() - held, "loss": value}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--plain-most", type=int, default=128, help="largest batch of the plain step")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--batch", type=int, help="measure one batch in this process")
    parser.add_argument("--chunk", type=int, default=0)
    parser.add_argument("--gradients", type=Path)
    options = parser.parse_args()
    if options.batch:
        print(json.dumps(measure(options.batch, options.chunk, options.precision, options.gradients)))
        return
    print(describe_machine())
    load_vit_b32()
    with tempfile.TemporaryDirectory() as folder:
        files = {"chunks": Path(folder) / "chunks.safetensors", "plain": Path(folder) / "plain.safetensors"}
        found: dict[tuple[str, int], dict[str, float]] = {}
        for batch in options.batches:
            for kind, chunk in (("plain", 0), ("chunks", CHUNK)):
                if kind == "plain" and batch > options.plain_most:
                    continue
                found[kind, batch] = run_alone(
                    __file__, batch=batch, chunk=chunk, precision=options.precision, gradients=files[kind]
                )
                row = found[kind, batch]
                figures = f"{row['seconds']:7.2f} s, {row['peak'] / 1e9:6.2f} GB, loss {row['loss']:.6f}"
                print(f"{batch:4} twins, {kind:6}: {figures}")
            if ("plain", batch) in found:
                a, b = (load_file(files[kind]) for kind in ("chunks", "plain"))
                largest = max(float(g.abs().max()) for g in b.values())
                difference = max(float((a[name] - g).abs().max()) for name, g in b.items()) / largest
                print(f"{batch:4} twins: largest difference of the gradient {difference:.2e} of its largest entry")
    plain = max(batch for kind, batch in found if kind == "plain")
    least, most = (found["chunks", options.batches[end]]["peak"] for end in (0, -1))
    print(
        json.dumps(
            {
                "peak_ratio": round(most / least, 3),
                "max_grad_diff": difference,
                "time_ratio": round(found["chunks", plain]["seconds"] / found["plain", plain]["seconds"], 3),
                "budget": BUDGET,
                "precision": options.precision,
            }
        )
    )


if __name__ == "__main__":
    main()
