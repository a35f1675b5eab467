"""A published benchmark's photographs: their intake at the first load and later, the leak check, and their embedding.

    python bench/photographs.py [--photographs 5000] [--embedded 512]

Writes JPEGs of 640 x 480 pixels and takes them in twice: at the first load each is read, hashed and decoded, later ones
look at the files' sizes and times. The leak check looks for near-duplicates of one training picture, also twice. Then
photographs are embedded by ViT-B/32 with random weights, on one thread with one thread that decodes ahead: decoding
alone, the model alone on decoded pixels, and the embedding pass, which is compared bit for bit with the plain way. Last
a decoder and a model that only wait take the same pass, so that other work of the machine counts little: the model is
as fast as the decoder, four times as fast, four times as slow. Budget: 1.1 times the slower of both alone.

Prints tables and, as its last line, one JSON object.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from machine import describe_machine
from PIL import Image
from vit_b32 import load_vit_b32

from cultureclip.benchmarks.embedding import embedder as embedding
from cultureclip.benchmarks.embedding.embedder import Embedder
from cultureclip.benchmarks.embedding.embedding_store import EmbeddingStore
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.held_out import check_held_out
from cultureclip.benchmarks.pictures import FileIn, LazyPictures
from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.rows import Row, Source, take_in
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.weights.locate import locate

BUDGET = 1.1
WIDTH, HEIGHT, BATCH, DRAWN = 640, 480, 32, 100
BATCHES, FEW, DECODE_S = 16, 2, 0.06
"""Batches of a slice, as in the pass; pictures of a batch, and seconds a picture, where decoder and model only wait."""
POCKET = "package:cultureclip/pocket/weights/base_clip"
ABOUT = Declaration(name="photographs", title="", question="", source="drawn", licence="none", holds_out="images")
ROWS = pd.DataFrame(
    [{"row_id": "r", "pos_image_id": "i", "neg_image_id": "i", "pos_concept_id": "", "neg_concept_id": ""}]
).assign(pos_concept="", neg_concept="")
Result = TypeVar("Result")


def write_photographs(folder: Path, count: int) -> None:
    """JPEGs with the detail of photographs, about 90 kB each; all differ in a pixel, which changes their hash."""
    rng = np.random.default_rng(0)
    size = (WIDTH, HEIGHT)
    for number in range(min(count, DRAWN)):
        layers = [rng.integers(0, 256, (HEIGHT // step, WIDTH // step, 3), dtype=np.uint8) for step in (80, 20, 4)]
        grown = [np.asarray(Image.fromarray(layer).resize(size, Image.Resampling.BICUBIC)) for layer in layers]
        pixels = np.average(grown, axis=0, weights=(6, 3, 1)).astype(np.uint8)
        for copy in range(number, count, DRAWN):
            changed = pixels.copy()
            changed[:8, :8] = rng.integers(0, 256, 3, dtype=np.uint8)
            Image.fromarray(changed).save(folder / f"{copy:06}.jpg", quality=88)


def clocked(work: Callable[[], Result]) -> tuple[Result, float, float]:
    """Return a result, its seconds, and its seconds of processor time."""
    began, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - began, time.process_time() - cpu


def measure_intake(folder: Path, count: int, kept: KeyedStore) -> tuple[LazyPictures, dict[str, float]]:
    """Load and check twice."""
    rows = [Row(f"{n}", {}, {"image": (FileIn(folder, f"{n:06}.jpg"),)}) for n in range(count)]
    trained = [("i", Image.effect_noise((WIDTH, HEIGHT), 90))]
    found = {}
    for name in ("first", "later"):
        intake, found[f"{name}_load_s"], found[f"{name}_load_cpu_s"] = clocked(lambda: take_in(Source(rows), kept))
        held = [ChoiceBenchmark(ABOUT, intake.pictures)]
        check = clocked(lambda held=held: check_held_out(held, ROWS, trained, near_distance=4))
        _, found[f"{name}_check_s"], found[f"{name}_check_cpu_s"] = check
    return intake.pictures, found


def measure_embedding(model: Path, pictures: LazyPictures, names: Sequence[str], cache: Path) -> dict[str, float]:
    """Decode, embed, and do both at once."""
    settings = EmbeddingSettings(batch=BATCH)
    stores = [EmbeddingStore(cache, model.name, kind, torch.float32) for kind in ("images", "texts")]
    made = Embedder(model, settings, *stores)

    def decode(name: str) -> torch.Tensor:
        return made.encoder.preprocess(Image.fromarray(pictures[name]))

    made.encoder.embed_pixels(decode(names[0])[None].expand(BATCH, -1, -1, -1))  # warms up
    with ThreadPoolExecutor(1) as pool:
        pixels, decode_s, decode_cpu_s = clocked(lambda: list(pool.map(decode, names)))
    stacked = [torch.stack(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
    plain, model_s, model_cpu_s = clocked(lambda: torch.cat([made.encoder.embed_pixels(part) for part in stacked]))
    keys = {name: name for name in names}
    _, both_s, both_cpu_s = clocked(lambda: made.embed_images(keys, dict.fromkeys(names, pictures)))
    kept = stores[0].get(names)
    assert all(np.array_equal(kept[name], vector) for name, vector in zip(names, plain.numpy(), strict=True))
    return {
        "decode_s": decode_s,
        "decode_cpu_s": decode_cpu_s,
        "model_s": model_s,
        "model_cpu_s": model_cpu_s,
        "both_s": both_s,
        "both_cpu_s": both_cpu_s,
    }


class Waiting:
    """A decoder and a model that take a given time and no processor; as pictures, each name stands for itself."""

    image_dtype = torch.float32

    def __init__(self, decode_s: float, model_s: float) -> None:
        self.decode_s, self.model_s = decode_s, model_s

    def __getitem__(self, name: str) -> np.ndarray:
        time.sleep(self.decode_s)
        return np.zeros((1, 1, 3), np.uint8)

    def preprocess(self, picture: Image.Image) -> torch.Tensor:
        return torch.zeros(3, *picture.size)

    def embed_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        time.sleep(self.model_s * len(pixels))
        return torch.zeros(len(pixels), 1)


def measure_waiting(model: Path, model_s: float, cache: Path) -> float:
    """Return the seconds of a pass over two slices, over those of the slower of decoder and model, each alone."""
    settings = EmbeddingSettings(batch=FEW)
    stores = [EmbeddingStore(cache, f"{model_s}", kind, torch.float32) for kind in ("images", "texts")]
    made, waiting = Embedder(model, settings, *stores), Waiting(DECODE_S, model_s)
    made.encoder = waiting  # type: ignore[assignment]
    slices = [[f"{number}-{i}" for i in range(BATCHES * FEW)] for number in range(2)]
    names = [name for part in slices for name in part]

    def embed() -> None:
        for part in slices:
            made.embed_images({name: name for name in part}, dict.fromkeys(part, waiting))

    _, decode_s, _ = clocked(lambda: [waiting[name] for name in names])
    _, alone_s, _ = clocked(lambda: [waiting.embed_pixels(torch.zeros(FEW, 1)) for _ in range(len(names) // FEW)])
    return clocked(embed)[1] / max(decode_s, alone_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, default=5000)
    parser.add_argument("--embedded", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(1)
    embedding._WORKERS = 1
    print(describe_machine())
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "photographs"
        folder.mkdir()
        write_photographs(folder, options.photographs)
        time.sleep(2.1)  # a file that was just written is not believed to stay
        kept = KeyedStore(Path(parent) / "kept.sqlite")
        pictures, result = measure_intake(folder, options.photographs, kept)
        names = list(pictures)[: options.embedded]
        result |= measure_embedding(load_vit_b32()[0], pictures, names, Path(parent) / "embeddings")
        pocket = locate(POCKET)
        result["over_slower"] = measure_waiting(pocket, DECODE_S, Path(parent) / "waiting")
        result["over_decoder"] = measure_waiting(pocket, DECODE_S / 4, Path(parent) / "waiting")
        result["over_model"] = measure_waiting(pocket, DECODE_S * 4, Path(parent) / "waiting")
    result = {name: round(value, 3) for name, value in result.items()}
    result |= {"photographs": options.photographs, "embedded": len(names), "budget": BUDGET, "cores": os.cpu_count()}
    for name, value in result.items():
        print(f"{name:24} {value:,}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
