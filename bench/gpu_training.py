"""Parts of ``bench/gpu.py`` that train: gradients against the CPU's, steps of two sizes, chunks, and two processes."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from device import held, is_cuda, peak_gb, say, use, wait
from machine import describe_machine
from torch import Tensor
from train_step import Ours, Released
from transformers import CLIPModel
from vit_b32 import load_vit, random_twins

from cultureclip.clip.data.batches import TwinBatch, TwinData, make_batch
from cultureclip.clip.export.hf_config import to_clip_config
from cultureclip.clip.export.hf_names import to_clip_model
from cultureclip.clip.export.hf_processing import to_tokenizer
from cultureclip.clip.training.distributed import joined_group
from cultureclip.models.encoder import CONFIG_NAME
from cultureclip.models.memory import is_out_of_memory

B32, L14, TINY = "ViT-B-32-quickgelu", "ViT-L-14-quickgelu", "tiny"
GRADIENT_TOLERANCE = 1e-3


def timed(step: Callable[[], float], steps: int, device: str) -> dict[str, object]:
    """Median seconds of a step after a first one, the last loss, and the memory that a step adds at its peak."""
    before = held(device)
    loss, taken = step(), []
    for _ in range(steps):
        wait(device)
        began = time.perf_counter()
        loss = step()
        wait(device)
        taken.append(time.perf_counter() - began)
    added = peak_gb(device, before)
    return {"seconds": round(statistics.median(taken), 4), "step_gb": added, "loss": round(loss, 6)}


def timed_or_none(what: str, step: Callable[[], float], steps: int, device: str) -> dict[str, object] | None:
    """The same; None if memory ran out, which is said."""
    try:
        return timed(step, steps, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    say(what=what, out_of_memory=True)
    return None


def on_device(data: TwinData, device: str) -> TwinData:
    """Twins with tokens and places on a device; pixels stay where they are, as in a training."""
    moved = {name: getattr(data, name).to(device) for name in ("tokens", "captions", "concepts")}
    return replace(data, **moved)


def ours(name: str, device: str, precision: str, twins: int, chunk: int | None = None) -> tuple[Ours, TwinBatch]:
    """A step of this project and a batch for it."""
    encoder = load_vit(name)[1]
    way = Ours(encoder, precision, device, chunk)
    return way, make_batch(random_twins(encoder, twins), torch.arange(twins), encoder)


def largest_difference(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest difference of two gradients over the largest entry of the second."""
    largest = torch.stack([gradient.abs().max().cpu() for gradient in expected.values()]).max()
    worst = [(found[name].cpu() - gradient.cpu()).abs().max() for name, gradient in expected.items()]
    return float(torch.stack(worst).max() / largest)  # of tensors, since max of floats would pass over NaN


def correctness(device: str, *, tiny: bool) -> None:
    """Gradients of one step against those of the CPU in fp32, and pocket's pictures."""
    name, twins = (TINY if tiny else B32), 8
    reference, batch = ours(name, "cpu", "fp32", twins)
    loss = reference.step(batch)
    for precision in ("fp32", "bf16"):
        way, there = ours(name, device, precision, twins)
        value = way.step(there)
        difference = largest_difference(way.gradients(), reference.gradients())
        ok = difference < GRADIENT_TOLERANCE if precision == "fp32" else difference < 0.2
        say(what=f"gradient {precision}", difference=difference, loss=value, loss_on_cpu=loss, ok=ok)
    from gpu_synthesis import compare_pocket

    say(what="pocket's pictures", **compare_pocket(device))


def train(name: str, device: str, twins: int, steps: int) -> None:
    """Time the released way and ours in both precisions, over the same twins and with the same weights."""
    folder, encoder = load_vit(name)
    data = on_device(random_twins(encoder, twins), device)
    for precision in ("bf16", "fp32"):
        way, batch = ours(name, device, precision, twins)
        mine = timed_or_none(f"ours {precision}", lambda way=way, batch=batch: way.step(batch), steps, device)
        if mine is None:
            continue
        say(what=f"ours {precision}", twins=twins, twins_per_second=round(twins / mine["seconds"], 1), **mine)
        mixed = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16")
        released = Released(hugging_face(folder, encoder), way, way.temperature, device)

        def step(released: Released = released, batch: TwinBatch = batch, mixed: object = mixed) -> float:
            with mixed:
                return released.step(data, batch.pixels())

        measured = timed_or_none(f"released {precision}", step, steps, device)
        if measured is None:
            continue
        figures = {"ratio": round(measured["seconds"] / mine["seconds"], 3)}
        if precision == "fp32":
            figures["gradient_difference"] = largest_difference(way.gradients(), released.gradients())
        say(what=f"released {precision}", twins=twins, **measured, **figures)


def hugging_face(folder: Path, encoder: object) -> CLIPModel:
    """The same weights as ``CLIPModel``."""
    config = json.loads((folder / CONFIG_NAME).read_text())["model_cfg"]
    model = CLIPModel(to_clip_config(config, to_tokenizer(encoder.tokenizer, folder), folder))
    model.load_state_dict(to_clip_model(encoder.model.state_dict()))
    return model


def chunks(device: str, *, tiny: bool) -> None:
    """A step at once, in chunks, and both compiled: time, memory, and whether the gradient is the same."""
    name, twins, chunk, steps = (TINY, 8, 4, 1) if tiny else (B32, 1024, 64, 3)
    plain: dict[str, Tensor] = {}
    for compiled in (False, True):
        for size in (None, chunk):
            what = ("compiled " if compiled else "") + (f"in chunks of {size}" if size else "at once")
            way, batch = ours(name, device, "bf16", twins, size)
            if compiled:
                way.compile()
            measured = timed_or_none(what, lambda way=way, batch=batch: way.step(batch), steps, device)
            if measured is None:
                continue
            plain = plain or {part: gradient.clone() for part, gradient in way.gradients().items()}
            difference = largest_difference(way.gradients(), plain)
            say(what=what, twins=twins, gradient_difference=difference, **measured)


def group(device: str, *, tiny: bool) -> None:
    """Start two processes that share a step; each compares its gradient with that of the whole batch alone."""
    if is_cuda(device) and torch.cuda.device_count() < 2:
        say(what="two processes", skipped=f"{torch.cuda.device_count()} GPU")
        return
    load_vit(TINY if tiny else B32)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
    subprocess.run([*start, "member", "--device", device, *(["--tiny"] if tiny else [])], check=True)


def member(device: str, *, tiny: bool) -> None:
    """One of two processes of a step."""
    name, twins, steps = (TINY, 8, 1) if tiny else (B32, 256, 5)
    here = f"cuda:{os.environ['LOCAL_RANK']}" if is_cuda(device) else device
    use(here)  # before the group is joined, as NCCL asks for
    with joined_group("nccl" if is_cuda(device) else "gloo") as both:
        way, batch = ours(name, here, "fp32", twins)
        alone = timed(lambda: way.step(batch), steps, here)
        expected = {part: gradient.clone() for part, gradient in way.gradients().items()}
        way.join(both)
        together = timed(lambda: way.step(batch), steps, here)
        difference = largest_difference(way.gradients(), expected)
        if both.leads:
            ok = difference < GRADIENT_TOLERANCE
            faster = round(alone["seconds"] / together["seconds"], 3)
            say(what="two processes", twins=twins, ratio=faster, gradient_difference=difference, ok=ok, **together)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["correctness", "train_b32", "train_l14", "chunks", "group", "member"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    device, tiny = options.device, options.tiny
    use(device)
    if options.part == "correctness":
        print(describe_machine(), flush=True)
        correctness(device, tiny=tiny)
    elif options.part == "train_b32":
        train(TINY if tiny else B32, device, 4 if tiny else 256, 1 if tiny else 5)
    elif options.part == "train_l14":
        train(TINY if tiny else L14, device, 4 if tiny else 64, 1 if tiny else 3)
    else:
        {"chunks": chunks, "group": group, "member": member}[options.part](device, tiny=tiny)


if __name__ == "__main__":
    main()
