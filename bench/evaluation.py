"""Four-way questions about 3,000 images: the released code's loop against one embedding pass, fresh and kept.

The loop is a CLIPModel of transformers with its processor: one image and four texts an item, texts padded to the
longest of four. Ours reads the same directory (ViT-B/32, random weights) and is timed whole: hashing, loading,
decoding, embedding, answering; the loop without loading. Half of the loop runs before ours and half after. Predictions
are compared on all items; where they differ, the loop's own margin between both choices is given.

    python bench/evaluation.py [--items 3000]

Prints tables and, as its last line, one JSON object. Budgets: fp32 2 x with 0.001 differing, bf16 3 x with 0.02, from
the cache 50 x.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import open_clip
import torch
from babel import Locale
from machine import describe_machine
from PIL import Image
from transformers import AutoImageProcessor, CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from cultureclip.benchmarks.embedding.embeddings import embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.protocols.items import Prediction, Question
from cultureclip.models.weights.fingerprint import _file_digest

# fmt: off
UNIVERSALS = (
    "breakfast", "clothing", "dance", "dessert", "dinner", "drinks", "eating", "farming", "festival", "funeral",
    "greeting", "headcoverings", "instrument", "lunch", "marriage", "music", "religion", "ritual", "sports",
    "transport",
)
# fmt: on
REGIONS = [name for code, name in sorted(Locale("en").territories.items()) if code.isalpha()][:50]
TEMPLATE = "The picture depicts a kind of {} in {}"
Result = TypeVar("Result")


def write_model(folder: Path) -> Path:
    """A CLIPModel of transformers' default size, which is ViT-B/32, with CLIP's own tokenizer as open_clip ships it."""
    torch.manual_seed(0)
    words = open_clip.tokenizer.SimpleTokenizer()
    start, end = "<start_of_text>", "<end_of_text>"
    tokenizer = CLIPTokenizer(
        vocab=words.encoder,
        merges=list(words.bpe_ranks),
        bos_token=start,
        eos_token=end,
        unk_token=end,
        pad_token=end,
        model_max_length=77,
    )
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    CLIPImageProcessor().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_benchmark(items: int) -> ChoiceBenchmark:
    """Coloured blobs of 256 px, each with a kind of thing and four regions."""
    rng = np.random.default_rng(0)
    images, questions = {}, []
    for number in range(items):
        colours = rng.integers(0, 256, (6, 6, 3), np.uint8)
        images[f"{number:05}"] = np.asarray(Image.fromarray(colours).resize((256, 256), Image.Resampling.BICUBIC))
        universal = UNIVERSALS[number % len(UNIVERSALS)]
        options = tuple(TEMPLATE.format(universal, region) for region in rng.choice(REGIONS, 4, replace=False))
        questions.append(
            Question(
                item_id=f"accuracy:{number:05}", image=f"{number:05}", options=options, cluster=universal, part="test"
            )
        )
    about = Declaration(
        name="synthetic",
        title="Synthetic",
        question="From which of four regions?",
        source="drawn",
        licence="none",
        holds_out="images",
    )
    return ChoiceBenchmark(about, images, questions)


def loop(folder: Path) -> Callable[[ChoiceBenchmark, range], np.ndarray]:
    """Item by item, as the released evaluation does it; resampling with Pillow, as it did when that was written."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    images = AutoImageProcessor.from_pretrained(folder, backend="pil")
    processor = CLIPProcessor(images, CLIPTokenizer.from_pretrained(folder))

    @torch.no_grad()
    def run(benchmark: ChoiceBenchmark, items: range) -> np.ndarray:
        scores = []
        for question in (benchmark.questions[i] for i in items):
            picture = Image.fromarray(benchmark.images[question.image])
            inputs = processor(text=list(question.options), images=picture, return_tensors="pt", padding=True)
            output = model(**inputs)
            scores.append((output.image_embeds @ output.text_embeds.T)[0].numpy())
        return np.stack(scores)

    return run


def clocked(work: Callable[..., Result], *given: Any) -> tuple[Result, float]:
    began = time.perf_counter()
    return work(*given), time.perf_counter() - began


def compare(name: str, scores: np.ndarray, answers: list[Prediction], shown: int = 10) -> float:
    """Share of items decided otherwise; prints each one's margin in the loop's fp32 cosines."""
    ours = np.array([answer.predicted for answer in answers])
    theirs = scores.argmax(axis=1)
    ranked = np.sort(scores, axis=1)
    other = np.flatnonzero(ours != theirs)
    margins = scores[other, theirs[other]] - scores[other, ours[other]]
    print(
        f"{name}: {len(other)} of {len(scores)} decided otherwise; the loop's margin there is at most "
        f"{margins.max(initial=0):.1e}, over all items its median is {np.median(ranked[:, -1] - ranked[:, -2]):.1e}"
    )
    for item, margin in list(zip(other, margins, strict=True))[:shown]:
        print(f"  item {item}: {theirs[item]} there, {ours[item]} here, margin {margin:.1e}")
    return len(other) / len(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3000)
    items = parser.parse_args().items
    print(describe_machine())
    benchmark = make_benchmark(items)
    with tempfile.TemporaryDirectory() as folder:
        model, cache = write_model(Path(folder) / "model"), Path(folder) / "kept"

        def ours(precision: str) -> list[Prediction]:
            _file_digest.cache_clear()  # hashing 600 MB counts
            return benchmark.answer(embed_benchmarks(model, [benchmark], cache, EmbeddingSettings(precision=precision)))

        run = loop(model)
        run(benchmark, range(min(8, items)))
        first, began = clocked(run, benchmark, range(items // 2))
        fp32, fp32_seconds = clocked(ours, "fp32")
        bf16, bf16_seconds = clocked(ours, "bf16")
        _, kept_seconds = clocked(ours, "fp32")
        second, ended = clocked(run, benchmark, range(items // 2, items))
    scores, seconds = np.concatenate([first, second]), began + ended
    halves = f"halves {began:.1f} and {ended:.1f} s"
    print(f"{items} items, {len(benchmark.texts)} distinct texts; loop {seconds:.1f} s ({halves})")
    print(f"ours: fp32 {fp32_seconds:.1f} s, bf16 {bf16_seconds:.1f} s, kept {kept_seconds:.2f} s")
    result = {
        "ratio_fp32": round(seconds / fp32_seconds, 2),
        "ratio_bf16": round(seconds / bf16_seconds, 2),
        "differing_fp32": compare("fp32", scores, fp32),
        "differing_bf16": compare("bf16", scores, bf16),
        "ratio_cached": round(seconds / kept_seconds, 1),
        "items": items,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
