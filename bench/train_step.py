"""One training step of ViT-B/32 with LoRA: the released code's way against ours, in turn.

    python bench/train_step.py [--steps 3] [--twins 16 64]

The released way is Hugging Face's ``CLIPModel`` with ``peft``: six calls a step (two of images, four of texts, all
padded to 77 tokens), fp32. Ours is one call a tower, every distinct text once, cropped to the longest. Both have the
same weights, the same adapter, the same twins and the same loss (each embedding normalised, repeated texts kept as
negatives), so that values and gradients can be compared. Memory is what a first step adds at its peak, each way in a
process of its own. Prints a table and, as its last line, one JSON object:
``ratio_fp32`` and ``ratio_bf16`` are the released way's median seconds over ours at the first number of twins, and
``max_grad_diff`` is the largest difference of gradients over the largest gradient, in fp32; ``memory_*`` are the
released way's peak over ours.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from machine import describe_machine, peak_memory, reset_peak_memory, run_alone
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import CLIPModel
from vit_b32 import load_vit_b32, random_twins

from cultureclip.clip.data.batches import TwinBatch, TwinData, make_batch
from cultureclip.clip.export.hf_names import layer_name
from cultureclip.clip.export.huggingface import to_huggingface
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.losses import build_objective
from cultureclip.clip.settings import LoraSettings, ObjectiveSettings, RunSettings, TrainerSettings
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.step import TwinLoss
from cultureclip.models.encoder import ImageTextEncoder

LORA = LoraSettings(rank=4, alpha=16, dropout=0.0, targets=("q", "v"), train_temperature=False)
OBJECTIVE = ObjectiveSettings(duplicate_aware=False)
BUDGET_FP32, BUDGET_BF16 = 2.6, 5.0


class Ours:
    """A step of this project."""

    def __init__(
        self, encoder: ImageTextEncoder, precision: str, device: str = "cpu", chunk: int | None = None
    ) -> None:
        trainer = TrainerSettings(precision=precision, chunk=chunk)
        self.settings = RunSettings(objective=OBJECTIVE, lora=LORA, trainer=trainer)
        self.encoder = encoder
        self.adapter = LoraAdapter(encoder.model, LORA, seed=1)
        with torch.no_grad():
            for update in self.adapter.updates():
                update.b.normal_(0, 0.02, generator=torch.Generator().manual_seed(2))
        self.adapter.to(device)
        encoder.model.to(device).train()
        self.join(Group())

    def step(self, batch: TwinBatch) -> float:
        """Loss; the gradients are left in the adapter."""
        self.adapter.zero_grad()
        return self.loss.backward(batch, None, 1.0, 0)[0]

    def join(self, group: Group) -> None:
        """Share the steps with a group of processes."""
        objective = build_objective("cultureclip", OBJECTIVE)
        self.loss = TwinLoss(self.encoder, self.adapter, objective, None, self.settings, group)

    def compile(self) -> None:
        """Compile the towers as the trainer does."""
        for tower in (self.encoder.model.visual, self.encoder.model.transformer):
            tower.compile(dynamic=True)

    @property
    def temperature(self) -> Tensor:
        """The model's own, which no way trains."""
        return self.encoder.model.logit_scale

    def gradients(self) -> dict[str, Tensor]:
        """By name."""
        named = {f"{site}.{part}": p for site, u in self.sites() for part, p in (("a", u.a), ("b", u.b))}
        return {name: p.grad for name, p in named.items()}

    def sites(self):
        """(Name of a projection, its update)."""
        return [(name.replace("/", "."), update) for name, update in self.adapter.sites.items()]


class Released:
    """A step as the released code takes it, with the adapter of ours."""

    def __init__(self, model: CLIPModel, ours: Ours, temperature: Tensor, device: str = "cpu") -> None:
        self.objective, self.temperature = build_objective("cultureclip", OBJECTIVE), temperature
        lora = LoraConfig(r=LORA.rank, lora_alpha=LORA.alpha, lora_dropout=0.0, target_modules=["q_proj", "v_proj"])
        self.model = get_peft_model(model, lora)
        self.pairs = {}
        with torch.no_grad():
            for site, update in ours.sites():
                layer = self.model.base_model.model.get_submodule(layer_name(site))
                a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
                a.copy_(update.a)
                b.copy_(update.b)
                self.pairs |= {f"{site}.a": a, f"{site}.b": b}
        self.model.to(device).train()

    def step(self, data: TwinData, pixels: Tensor) -> float:
        """Loss; the gradients are left in the adapter."""
        self.model.zero_grad()
        half = len(pixels) // 2
        images = [self.images(part) for part in pixels.split(half)]
        captions, concepts = ([self.texts(data.tokens[side]) for side in f] for f in (data.captions, data.concepts))
        twins = TwinEmbeddings(
            *(F.normalize(torch.stack(halves), dim=-1) for halves in (images, captions, concepts)),
            data.captions,
            data.concepts,
            self.temperature.exp(),
        )
        loss = self.objective(twins)
        loss.backward()
        return float(loss.detach())

    def images(self, pixels: Tensor) -> Tensor:
        return self.embedded(self.model.get_image_features(pixel_values=pixels))

    def texts(self, tokens: Tensor) -> Tensor:
        return self.embedded(self.model.get_text_features(input_ids=tokens, attention_mask=torch.ones_like(tokens)))

    @staticmethod
    def embedded(output: object) -> Tensor:
        """transformers 5 returns an object, transformers 4 the tensor itself."""
        return output if isinstance(output, Tensor) else output.pooler_output

    def gradients(self) -> dict[str, Tensor]:
        return {name: parameter.grad for name, parameter in self.pairs.items()}


class Ways:
    """The released way and ours in both precisions, over one batch."""

    def __init__(self, twins: int) -> None:
        folder, encoder = load_vit_b32()
        self.fp32, self.bf16 = Ours(encoder, "fp32"), Ours(load_vit_b32()[1], "bf16")
        hugging = folder.with_name(f"{folder.name}-huggingface")
        if not hugging.exists():
            to_huggingface(folder, hugging)
        self.released = Released(CLIPModel.from_pretrained(hugging), self.fp32, encoder.model.logit_scale)
        data = random_twins(encoder, twins)
        batch = make_batch(data, torch.arange(twins), encoder)
        self.steps: dict[str, Callable[[], float]] = {
            "released": lambda: self.released.step(data, batch.pixels()),
            "fp32": lambda: self.fp32.step(batch),
            "bf16": lambda: self.bf16.step(batch),
        }


def timed(step: Callable[[], float]) -> tuple[float, float]:
    """Seconds, loss."""
    began = time.perf_counter()
    loss = step()
    return time.perf_counter() - began, loss


def measure_memory(twins: int, way: str) -> int:
    """Bytes that a first step adds at its peak, in this process."""
    step = Ways(twins).steps[way]
    held = reset_peak_memory()
    step()
    return peak_memory() - held


def measure(twins: int, steps: int) -> dict[str, float]:
    ways = Ways(twins)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways.steps}
    for number in range(steps + 1):
        for name, step in ways.steps.items():
            result = timed(step)
            if number:  # the first step warms up
                taken[name].append(result)
    expected, own = ways.released.gradients(), ways.fp32.gradients()
    del ways, step  # before the processes that measure memory
    peaks = {name: run_alone(__file__, twins=twins, memory_of=name)["peak"] for name in taken}
    return report(twins, taken, peaks, expected, own)


def report(
    twins: int,
    taken: dict[str, Sequence[tuple[float, float]]],
    peaks: dict[str, int],
    expected: dict[str, Tensor],
    own: dict[str, Tensor],
) -> dict[str, float]:
    """Print a line a way and return the figures."""
    seconds = {name: statistics.median(s for s, _ in rows) for name, rows in taken.items()}
    for name, rows in taken.items():
        spread = f"{min(s for s, _ in rows):.2f}..{max(s for s, _ in rows):.2f}"
        speed = f"{seconds[name]:6.2f} s a step ({spread}), {twins / seconds[name]:5.2f} twins/s"
        print(f"{twins:3} twins, {name:9}: {speed}, {peaks[name] / 1e9:5.2f} GB, loss {rows[-1][1]:.6f}")
    largest = max(float(g.abs().max()) for g in expected.values())
    difference = max(float((own[name] - g).abs().max()) for name, g in expected.items()) / largest
    loss = abs(taken["released"][-1][1] - taken["fp32"][-1][1])
    print(f"{twins:3} twins, fp32: loss differs by {loss:.1e}, gradient by {difference:.1e} of its largest entry")
    return {
        "ratio_fp32": round(seconds["released"] / seconds["fp32"], 3),
        "ratio_bf16": round(seconds["released"] / seconds["bf16"], 3),
        "max_grad_diff": difference,
        "memory_fp32": round(peaks["released"] / peaks["fp32"], 3),
        "memory_bf16": round(peaks["released"] / peaks["bf16"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--twins", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--memory-of", choices=["released", "fp32", "bf16"], help="measure one way in this process")
    options = parser.parse_args()
    if options.memory_of:
        print(json.dumps({"peak": measure_memory(options.twins[0], options.memory_of)}))
        return
    print(describe_machine())
    found = [measure(twins, options.steps) for twins in options.twins]
    worst = max(figures["max_grad_diff"] for figures in found)
    others = {f"at_{twins}": figures for twins, figures in zip(options.twins[1:], found[1:], strict=True)}
    print(json.dumps({**found[0], "max_grad_diff": worst, "budgets": [BUDGET_FP32, BUDGET_BF16], **others}))


if __name__ == "__main__":
    main()
