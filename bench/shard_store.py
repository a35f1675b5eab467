"""The image store with a million images: seconds, memory, and its speed beside WebDataset and Hugging Face datasets.

    python bench/shard_store.py [--planned 1000000] [--present 900000] [--edge 16] [--scan 20000] [--part-size 64]
        [--generation-s 0.036] [--folder /tmp]

Writes ``present`` PNG pictures of noise, in parts as synthesis writes them, and then measures, every part in a process
of its own:

- plan: the planning of ``planned`` images as synthesis does it, without and with an index file;
- read64: 64 random images, best and median of 20 draws, with a warm page cache;
- scan: the first ``scan`` images in the order of ids, decoded: the store, WebDataset, ``datasets``, best of three;
- compact: the merging of all parts, and both reads again.

``overhead`` is the time to store an encoded image, divided by ``generation-s``: the seconds that pocket's model
takes per image (``images_per_second`` in synthesis_metrics); ``encode_s``, PNG and perceptual
hashes, comes on top. Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import describe_machine, peak_memory, run_alone
from PIL import Image

from cultureclip.ids import digest, seed_from_id
from cultureclip.images.batches import find_other_batches, plan_missing
from cultureclip.images.records import encode_image
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.images.upkeep import compact

BATCH, POOL, READ, DRAWS, REPEATS = 16, 1024, 64, 20, 3
PART_BYTES = 16 << 20


def make_ids(planned: int) -> list[str]:
    """The ids of a plan, sorted."""
    return sorted(digest("bench", number) for number in range(planned))


def fill(folder: Path, planned: int, present: int, edge: int, part_size: int) -> dict[str, Any]:
    """Store the first ``present`` images of each shard's plan: pictures of a pool, each under an id of its own."""
    ids = make_ids(planned)
    store, writing, count = ShardStore(folder / "store"), 0.0, 0
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (edge, edge, 3), dtype=np.uint8)) for _ in range(POOL)]
    start = time.perf_counter()
    pool = [encode_image(str(n), picture, BATCH, {"torch": "2"}) for n, picture in enumerate(pictures)]
    encoding = time.perf_counter() - start
    shards = pd.Series(ids).groupby([image_id[0] for image_id in ids]).apply(list)
    for shard, members in shards.items():
        kept = members[: round(len(members) * present / planned)]
        for begin in range(0, len(kept), part_size):
            part = kept[begin : begin + part_size]
            records = [replace(pool[int(image_id[-4:], 16) % POOL], image_id=image_id) for image_id in part]
            start = time.perf_counter()
            store.write_part(str(shard), records)
            writing += time.perf_counter() - start
            count += len(part)
    return {"write_s": writing / count, "encode_s": encoding / POOL, "count": count}


def plan(folder: Path, planned: int, part_size: int) -> dict[str, Any]:
    """Plan as :func:`cultureclip.images.generation.generate_missing` does before it loads the model."""
    ids = make_ids(planned)
    requests = pd.DataFrame(
        {
            "image_id": ids,
            "prompt": [f"a photo of a red patterned kimono on a wooden table, number {n}" for n in range(planned)],
            "seed": [seed_from_id(image_id) for image_id in ids],
            "shard": [image_id[0] for image_id in ids],
        }
    )
    start, cpu = time.perf_counter(), time.process_time()
    store = ShardStore(folder / "store")
    store.find_unconfirmed()
    present = store.present()
    tasks = plan_missing(requests, present, BATCH, part_size)
    other = find_other_batches(requests, present, store, BATCH)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    missing = sum(len(batch.missing) for task in tasks for batch in task.batches)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "gb": peak_memory() / 1e9,
        "present": len(present),
        "missing": missing,
        "other": other.total(),
    }


def read_some(folder: Path) -> dict[str, Any]:
    """Read 64 random images again and again, each time others."""
    start = time.perf_counter()
    store = ShardStore(folder / "store")
    ids = sorted(store.present())
    opened = time.perf_counter() - start
    images, rng, taken = ImageSet(store, ids), np.random.default_rng(1), []
    for warm in (True, False):
        rng = np.random.default_rng(1)
        for _ in range(DRAWS):
            some = [ids[place] for place in rng.choice(len(ids), READ, replace=False)]
            start = time.perf_counter()
            images.read(some)
            if not warm:
                taken.append(time.perf_counter() - start)
    return {"open_s": opened, "best_s": min(taken), "median_s": statistics.median(taken), "most_s": max(taken)}


def scan(folder: Path, count: int) -> dict[str, Any]:
    """Decode the same images in order: the store, WebDataset, ``datasets``; each reader takes its turn three times."""
    import datasets
    import webdataset

    store = ShardStore(folder / "store")
    ids = sorted(store.present())[:count]
    images = ImageSet(store, ids)
    place = folder / "others"
    place.mkdir()
    rows = list(store._rows(ids, ["image_id", "image"]))
    with webdataset.TarWriter(str(place / "images.tar")) as tar:
        for _, image_id, row in rows:
            tar.write({"__key__": image_id, "png": row["image"]["bytes"]})
    features = datasets.Features({"image_id": datasets.Value("string"), "image": datasets.Image()})
    columns = {"image_id": [i for _, i, _ in rows], "image": [row["image"] for _, _, row in rows]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(place / "arrow"))
    arrow = datasets.load_from_disk(str(place / "arrow"))

    def ours() -> Iterator[np.ndarray]:
        for start in range(0, len(ids), 1024):
            for picture in images.read(ids[start : start + 1024]):
                yield np.asarray(picture)

    def from_tar() -> Iterator[np.ndarray]:
        reader = webdataset.WebDataset(str(place / "images.tar"), shardshuffle=False).decode("pil")
        return (np.asarray(sample["png"]) for sample in reader)

    def from_arrow() -> Iterator[np.ndarray]:
        return (np.asarray(row["image"]) for row in arrow)

    readers: dict[str, Callable[[], Iterator[np.ndarray]]] = {
        "store": ours,
        "webdataset": from_tar,
        "datasets": from_arrow,
    }
    taken: dict[str, list[float]] = {name: [] for name in readers}
    sums = {}
    for _ in range(REPEATS):
        for name, reader in readers.items():
            start, number, total = time.perf_counter(), 0, 0
            for pixels in reader():
                number += 1
                total += int(pixels[0, 0, 0])
            taken[name].append(time.perf_counter() - start)
            sums[name] = (number, total)
    if len(set(sums.values())) != 1 or sums["store"][0] != count:
        raise SystemExit(f"the readers saw other pictures: {sums}")
    shutil.rmtree(place)
    return {name: count / min(seconds) for name, seconds in taken.items()}


def merge(folder: Path) -> dict[str, Any]:
    """Merge all small parts."""
    start = time.perf_counter()
    done = compact(ShardStore(folder / "store"), PART_BYTES)
    return {"seconds": time.perf_counter() - start, "before": done.before, "after": done.after}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all parts, each in a process of its own."""

    def alone(part: str) -> dict[str, Any]:
        names = ("planned", "present", "edge", "scan", "part_size")
        found = run_alone(__file__, part=part, folder=folder, **{name: getattr(options, name) for name in names})
        print(f"{part}: {json.dumps({k: round(v, 5) for k, v in found.items()})}", flush=True)
        return found

    filled = alone("fill")
    (folder / "store" / ".index").unlink(missing_ok=True)
    cold, warm = alone("plan"), alone("plan")
    read, rates = alone("read"), alone("scan")
    merged = alone("compact")
    again, read_again, rates_again = alone("plan"), alone("read"), alone("scan")
    return {
        "planned": options.planned,
        "present": filled["count"],
        "plan_s": warm["seconds"],
        "plan_cpu_s": warm["cpu_seconds"],
        "plan_first_s": cold["seconds"],
        "plan_gb": max(cold["gb"], warm["gb"]),
        "read64_s": read["median_s"],
        "read64_most_s": read["most_s"],
        "write_s": filled["write_s"],
        "encode_s": filled["encode_s"],
        "overhead": filled["write_s"] / options.generation_s,
        "read_ratio": rates["store"] / max(rates["webdataset"], rates["datasets"]),
        "images_per_s": rates,
        "compact_s": merged["seconds"],
        "parts": [merged["before"], merged["after"]],
        "compacted": {
            "plan_s": again["seconds"],
            "read64_s": read_again["median_s"],
            "read_ratio": rates_again["store"] / max(rates_again["webdataset"], rates_again["datasets"]),
        },
    }


def main() -> None:
    """Run all parts, or the one that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planned", type=int, default=1_000_000)
    parser.add_argument("--present", type=int, default=900_000)
    parser.add_argument("--edge", type=int, default=16)
    parser.add_argument("--scan", type=int, default=20_000)
    parser.add_argument("--part-size", type=int, default=64)
    parser.add_argument("--generation-s", type=float, default=0.036)
    parser.add_argument("--part", choices=["fill", "plan", "read", "scan", "compact"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    parts = {
        "fill": lambda: fill(options.folder, options.planned, options.present, options.edge, options.part_size),
        "plan": lambda: plan(options.folder, options.planned, options.part_size),
        "read": lambda: read_some(options.folder),
        "scan": lambda: scan(options.folder, options.scan),
        "compact": lambda: merge(options.folder),
    }
    if options.part:
        print(json.dumps(parts[options.part]()))
        return
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="cultureclip-store-", dir=options.folder))
    try:
        found = measure(options, folder)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
