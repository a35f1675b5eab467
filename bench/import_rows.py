"""Import rows in the published format, and train on them: seconds and memory.

    python bench/import_rows.py [--rows 100000] [--edge 64] [--train-rows 2000] [--steps 20] [--twins 32]

Writes ``rows`` rows of synthetic pictures (JPEG, ``edge`` pixels, two per row, all different) in folders with a
parquet table of the published columns, and imports them into an empty store, then once more with nothing changed.
``train-rows`` of the rows are trained on for ``steps`` steps of ``twins`` twins: ViT-B/32 with random weights, LoRA,
objective ``cultureclip``. Every part runs in a process of its own; memory is its peak, libraries included. Prints a
table and, as its last line, one JSON object.
"""

import argparse
import io
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import describe_machine, peak_memory, run_alone
from PIL import Image
from vit_b32 import load_vit_b32

from cultureclip.clip.settings import LoraSettings, RunSettings, TrainerSettings
from cultureclip.clip.training.runs import train_adapter
from cultureclip.exchange.entry import RowsEntry, TwinRows
from cultureclip.exchange.import_rows import import_rows
from cultureclip.exchange.settings import ImportSettings
from cultureclip.images.store import ImageSet, ShardStore

TWINS = 10_000
"""Pairs of concepts that the rows are spread over."""
SETTINGS = ImportSettings(
    dev_share=0.05,
    owners_split=True,
    max_refused_share=0.0,
    near_duplicate_bits=None,
    part_size=64,
    shard_digits=2,
)
LORA = LoraSettings(rank=4, alpha=16, dropout=0.1, targets=("q", "v"))


def write_rows(folder: Path, count: int, edge: int) -> None:
    """Write the rows and their pictures."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        row = {}
        for side in ("pos", "neg"):
            name = f"{side}/{number // 1000:04}/{number}.jpg"
            file = folder / "images" / name
            if number % 1000 == 0:
                file.parent.mkdir(parents=True)
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(coarse).resize((edge, edge), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            file.write_bytes(buffer.getvalue())
            concept = f"{side} concept {number % TWINS}"
            row |= {f"{side}_image_path": f"images/{name}", f"{side}_concept": concept}
            row |= {f"{side}_caption": f"a {concept} with a red border on a wooden table, picture {number}"}
        rows.append(row)
    pd.DataFrame(rows).to_parquet(folder / "rows.parquet")


def import_all(folder: Path) -> dict[str, Any]:
    """Import the rows of a folder."""
    entry = RowsEntry(
        title="synthetic",
        source="bench",
        licence="CC0-1.0",
        terms="train",
        format={"type": "released"},
        category="Symbol",
        cultures=("001",),
    )
    start, cpu = time.perf_counter(), time.process_time()
    tables, counts = import_rows(TwinRows(entry, folder / "in"), ShardStore(folder / "store"), SETTINGS)
    figures = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    tables.cultwin.to_parquet(folder / "cultwin.parquet")
    return figures | {"kept": counts["kept"], "added": counts["images"]["added"], "peak_bytes": peak_memory()}


def train(folder: Path, count: int, steps: int, twins: int) -> dict[str, Any]:
    """Train on some of the imported rows, ``twins`` of them per step."""
    base, _ = load_vit_b32()
    rows = pd.read_parquet(folder / "cultwin.parquet").iloc[:count]
    images = ImageSet(ShardStore(folder / "store"), [*rows["pos_image_id"], *rows["neg_image_id"]])
    trainer = TrainerSettings(steps=steps, batch=twins, chunk=16, warmup_steps=0, eval_every=steps, precision="auto")
    start = time.perf_counter()
    checkpoint, log = train_adapter(
        rows.assign(split="train"),
        images,
        None,
        base,
        card={"base": "ViT-B/32"},
        name="bench",
        objective="cultureclip",
        seed=1,
        settings=RunSettings(lora=LORA, trainer=trainer),
        work_dir=folder / "work",
    )
    seconds = time.perf_counter() - start
    cache = sum(file.stat().st_size for file in (folder / "work/decoded").rglob("*") if file.is_file())
    step = twins / log[-1]["twins_per_second"]
    figures = {"seconds": seconds, "step_seconds": step, "cache_bytes": cache, "loss": log[-1]["loss"]}
    return figures | {"parameters": checkpoint.card.parameters, "peak_bytes": peak_memory()}


def main() -> None:
    """Run all parts, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--edge", type=int, default=64)
    parser.add_argument("--train-rows", type=int, default=2_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--twins", type=int, default=32)
    parser.add_argument("--part", choices=["import", "train"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.part == "import":
        print(json.dumps(import_all(options.folder)))
        return
    if options.part == "train":
        print(json.dumps(train(options.folder, options.train_rows, options.steps, options.twins)))
        return
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="cultureclip-import-"))
    found = {}
    try:
        (folder / "in").mkdir()
        write_rows(folder / "in", options.rows, options.edge)
        for name in ("import", "import again"):
            found[name] = figures = run_alone(__file__, part="import", folder=folder)
            print(
                f"{name}: {figures['kept']:,} rows, {figures['added']:,} pictures stored, {figures['seconds']:.0f} s "
                f"({figures['cpu_seconds']:.0f} s of one core), peak {figures['peak_bytes'] / 1e9:.2f} GB",
                flush=True,
            )
        some = {"train_rows": options.train_rows, "steps": options.steps, "twins": options.twins}
        found["train"] = figures = run_alone(__file__, part="train", folder=folder, **some)
    finally:
        shutil.rmtree(folder)
    print(
        f"training on {options.train_rows:,} rows: {options.steps} steps of {options.twins} twins, "
        f"{figures['step_seconds']:.1f} s each, {figures['seconds']:.0f} s in all, "
        f"decoded pictures {figures['cache_bytes'] / 1e9:.2f} GB on disk, peak {figures['peak_bytes'] / 1e9:.2f} GB"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
