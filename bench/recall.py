"""Recall@1, 5 and 10 both ways on 5,000 images x 25,000 texts, against CLIP_benchmark's own function at batch 1,024.

Each side runs in a process of its own, several times in turn. Its memory is the peak of resident memory while it works
above what was resident when its inputs, the embeddings, lay there. Budget: 1/20 of theirs.

    python bench/recall.py [--runs 3] [--images 5000]

Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from machine import describe_machine, peak_memory, reset_peak_memory, run_alone

from cultureclip.benchmarks.protocols.recall import rank

BUDGET = 0.05
CAPTIONS, WIDTH, BATCH, CUTOFFS = 5, 512, 1024, (1, 5, 10)


def make_embeddings(images: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts are their images with noise: about half are found at once."""
    rng = np.random.default_rng(0)
    seen = rng.standard_normal((images, WIDTH), np.float32)
    read = np.repeat(seen, CAPTIONS, axis=0) + rng.standard_normal((images * CAPTIONS, WIDTH), np.float32) * 8
    return unit(seen), unit(read)


def unit(vectors: np.ndarray) -> np.ndarray:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def run_ours(seen: np.ndarray, read: np.ndarray) -> dict[str, float]:
    texts = np.arange(len(read))
    pairs = np.stack([texts // CAPTIONS, texts], axis=1)
    rankings = {
        "text": rank(seen, read, pairs, max(CUTOFFS)),
        "image": rank(read, seen, pairs[:, ::-1], max(CUTOFFS)),
    }
    return {
        f"{found}_retrieval_recall@{k}": float(ranking.credit(k).mean())
        for found, ranking in rankings.items()
        for k in CUTOFFS
    }


class Remembered:
    """A model in CLIP_benchmark's sense that hands out embeddings made before."""

    def __init__(self, read: np.ndarray) -> None:
        self.read = torch.from_numpy(read)

    def encode_image(self, vectors: torch.Tensor) -> torch.Tensor:
        return vectors

    def encode_text(self, numbers: torch.Tensor) -> torch.Tensor:
        return self.read[numbers]


def run_theirs(seen: np.ndarray, read: np.ndarray) -> dict[str, float]:
    from clip_benchmark.metrics.zeroshot_retrieval import evaluate

    batches = [
        (
            torch.from_numpy(seen[start : start + BATCH]),
            [range(i * CAPTIONS, (i + 1) * CAPTIONS) for i in range(start, min(start + BATCH, len(seen)))],
        )
        for start in range(0, len(seen), BATCH)
    ]
    return evaluate(Remembered(read), batches, torch.tensor, "cpu", amp=False, recall_k_list=list(CUTOFFS))


SIDES: dict[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {"ours": run_ours, "theirs": run_theirs}


def measure(side: str, images: int) -> None:
    embeddings = make_embeddings(images)
    SIDES[side](*(part[: 2 * CAPTIONS * n] for part, n in zip(embeddings, (1, CAPTIONS), strict=True)))  # imports
    before, began = reset_peak_memory(), time.perf_counter()
    recalls = SIDES[side](*embeddings)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "bytes": peak_memory() - before, "recalls": recalls}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        measure(given.side, given.images)
        return
    print(describe_machine())
    found: dict[str, list[dict]] = {side: [] for side in SIDES}
    for _ in range(given.runs):
        for side, runs in found.items():
            runs.append(run_alone(__file__, side=side, images=given.images))
    seconds, peak = (
        {side: statistics.median(run[field] for run in runs) for side, runs in found.items()}
        for field in ("seconds", "bytes")
    )
    for side in SIDES:
        print(f"{side:7} median {seconds[side]:7.2f} s, peak above the embeddings {peak[side] / 2**20:9.1f} MiB")
    ours, theirs = (found[side][0]["recalls"] for side in SIDES)
    for name in sorted(ours):
        print(f"{name:26} {ours[name]:.6f} {theirs[name]:.6f}")
    difference = max(abs(ours[name] - theirs[name]) for name in ours)
    print("Differences are ties: cosines equal to six decimals share the credit here, and come by index there.")
    result = {
        "peak_ratio": round(peak["ours"] / peak["theirs"], 4),
        "time_ratio": round(seconds["ours"] / seconds["theirs"], 4),
        "difference": round(difference, 6),
        "budget": BUDGET,
        "images": given.images,
        "texts": given.images * CAPTIONS,
        "runs": given.runs,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
