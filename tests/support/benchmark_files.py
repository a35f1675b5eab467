"""Benchmarks written to disk in their owners' formats, small and with pictures that all differ."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encode(number: int, kind: str = "PNG", size: tuple[int, int] = (20, 16)) -> bytes:
    """An image file that differs from that of every other number."""
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_pictures(folder: Path, names: Sequence[str], kind: str = "PNG") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(number, kind))


def stored(data: bytes | None, path: str | None = None) -> dict[str, Any]:
    """An image as the ``datasets`` library stores it."""
    return {"bytes": data, "path": path}


def make_table(columns: dict[str, list[Any]]) -> Any:
    """A ``datasets.Dataset`` with the hub's features: images, lists of images, structs, strings."""
    from datasets import Dataset, Features, Image, List, Value

    kinds = {
        "image": Image(),
        "image_0": Image(),
        "image_1": Image(),
        "definition_images": List(Image()),
        "metadata": {"image_en_concept": Value("string"), "definition_concept": Value("string")},
    }
    features = Features({name: kinds.get(name, Value("string")) for name in columns})
    return Dataset.from_dict(columns, features=features)


def write_parquet(folder: Path, columns: dict[str, list[Any]], name: str = "test-00000-of-00001-0f.parquet") -> Path:
    """As the hub serves it: ``<folder>/data/test-*.parquet``."""
    import datasets

    (folder / "data").mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    make_table(columns).to_parquet(folder / "data" / name)
    return folder


def grounding_columns(regions: Sequence[str], concepts: Sequence[str], first: int = 0) -> dict[str, list[Any]]:
    images = [stored(encode(first + number)) for number in range(len(regions))]
    return {"image": images, "region": list(regions), "concept": list(concepts)}


def write_webdataset(folder: Path, samples: Sequence[dict[str, Any]], shard_size: int, **texts: Sequence[str]) -> Path:
    """As CLIP_benchmark's builder writes it, with webdataset's own writer."""
    from webdataset import ShardWriter

    (folder / "test").mkdir(parents=True)
    with ShardWriter(str(folder / "test" / "%d.tar"), maxcount=shard_size, verbose=0) as writer:
        for number, sample in enumerate(samples):
            writer.write({"__key__": f"s{number:07d}", **sample})
        shards = writer.shard
    (folder / "test/nshards.txt").write_text(f"{shards}\n")
    for name, lines in texts.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_karpathy(folder: Path, images: Sequence[dict[str, Any]], name: str = "dataset_coco.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"dataset": "coco", "images": list(images)}))
    return folder
