"""Filtering a million images whose answers are stored: seconds, memory, and how both grow.

    python bench/filtering.py [--images 1000000] [--small 100000] [--width 512] [--folder /tmp]

Writes the tables of a run with ``images`` images, five per side of a twin, ten twins per concept, and everything that
its judges have answered: an embedding per image and text, three ratings with reasons per image. One image in a hundred
repeats another one of its concept, and one in a hundred looks like an image of another concept. Then runs the nodes of
the filter in a process of its own, with the default judges ``clip`` and ``vision_language``; no model is loaded:

- measure: keys, embeddings, similarities, looks;
- rate: the vision-language judge;
- decide: opinions, duplicates, verdicts; select: the training rows; summarise, audit: counts by reason and by group;
- check: the schemas of both tables; save: both as Parquet.

Prints a line per part and size and, as its last line, one JSON object: ``seconds`` and ``peak_gb`` of the large run,
its ``parts``, ``small`` with the seconds of the judge ``distinct`` on the smaller size, and ``exponent``, the growth of
the time between the two sizes (1 is linear).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from math import log
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import yaml
from machine import describe_machine, peak_memory, reset_peak_memory, run_alone

from cultureclip.concepts.regions import region_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE
from cultureclip.ids import digest
from cultureclip.judging import distinct, vision_language
from cultureclip.judging.calibration.images import describe_images
from cultureclip.judging.calibration.yields import tabulate_yields
from cultureclip.judging.judge import Judge, _pack
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.texts import concept_texts
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.pipelines.filtering import nodes
from cultureclip.pipelines.filtering.parameters import FilteringParameters
from cultureclip.tables import CATEGORIES, CULTWIN, JUDGEMENTS

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"
PER_SIDE, TWINS_PER_CONCEPT, BLOCK = 5, 10, 20_000
CULTURES = ("JP", "KR", "CN", "MX", "IN", "TR", "NG", "PE")
PROMPT = {"system": "Rate the picture.", "templates": {"rate": "{name} from {culture}: {features}"}}
UNRATED = pd.Series(dtype=bool, name="good")


def parameters(likeness: bool = False) -> FilteringParameters:
    """The default environment's settings; with the judge of likeness, if wanted."""
    text = (ROOT / "conf/base/parameters_filtering.yml").read_text(encoding="utf-8")
    for name in ("vision_judge", "judge"):
        text = text.replace(f"${{globals:{name}}}", str(WEIGHTS / name))
    settings = yaml.safe_load(text.replace("${globals:exclude}", "{}"))["filtering"]
    panel = {"decide": [*settings["judges"]["decide"], *(["distinct"] if likeness else [])], "combine": "all"}
    return FilteringParameters(**settings | {"judges": panel})


class Planned:
    """Images that are there and that nobody should have to read."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.ids = ids

    def read(self, ids: Sequence[str]) -> NoReturn:
        raise SystemExit(f"{len(ids)} images were read, although all answers are stored")

    checksums = read


def make_tables(images: int) -> dict[str, pd.DataFrame]:
    """Concepts, twins, captions and requests of a run."""
    sides = images // PER_SIDE
    twins = sides // 2
    count = max(4, sides // TWINS_PER_CONCEPT)
    ids = [digest("concept", number) for number in range(count)]
    place = np.arange(twins) % count
    step = 1 + 2 * (np.arange(twins) // count)  # a concept's partners are those one, three, five ... places on
    a, b = place, (place + step) % count
    concepts = pd.DataFrame(
        {
            "concept_id": ids,
            "name": [f"thing {number}" for number in range(count)],
            "cultures": [[CULTURES[number % len(CULTURES)]] for number in range(count)],
            "universal": [f"kind {number // 10}" for number in range(count)],
            "category": [CATEGORIES[number % len(CATEGORIES)] for number in range(count)],
            "context": "A thing of its culture, worn or used on some days of the year.",
            "key_visual_features": [["wide sleeves", "a sash"]] * count,
            "terms": "train",
            "source": "bench",
        }
    )
    twin_ids = [digest("twin", number) for number in range(twins)]
    table = pd.DataFrame({"twin_id": twin_ids, "split": "train"})
    table["a_concept_id"], table["b_concept_id"] = (np.array(ids, object)[side] for side in (a, b))
    shown = np.stack([a, b], 1).ravel()
    captions = pd.DataFrame(
        {
            "caption_id": [digest("caption", number) for number in range(2 * twins)],
            "twin_id": np.repeat(np.array(twin_ids, object), 2),
            "concept_id": np.array(ids, object)[shown],
            "kind": "plain",
            "checks": '{"culture": true, "features": 2}',
            "text": [f"a photo of thing {number} on a wooden table in the morning" for number in shown],
        }
    )
    requests = pd.DataFrame({"image_id": [digest("image", n) for n in range(2 * twins * PER_SIDE)]})
    requests["caption_id"] = captions["caption_id"].repeat(PER_SIDE).to_numpy()
    requests["place"] = shown.repeat(PER_SIDE)
    requests = requests.sort_values("image_id", ignore_index=True)
    return {"concepts": concepts, "twins": table, "captions": captions, "requests": requests}


def fill(folder: Path, images: int, width: int) -> dict[str, Any]:
    """Write tables and answers."""
    tables, settings, rng = make_tables(images), parameters(), np.random.default_rng(0)
    store = KeyedStore(folder / "judgements.sqlite")
    judge = Judge(settings, store)
    requests, concepts = tables["requests"], tables["concepts"]
    centres = _unit(rng.standard_normal((len(concepts), width), dtype=np.float32))
    for start in range(0, len(concepts), BLOCK):
        rows = concepts.iloc[start : start + BLOCK]
        texts = concept_texts(rows, settings.concept_templates, region_name)
        near = _unit(centres[start : start + BLOCK] + 0.1 * _unit(rng.standard_normal(centres[rows.index].shape)))
        answers = {
            judge._key("text", text): {"embedding": _pack(vector)}
            for group, vector in zip(texts, near, strict=True)
            for text in group
        }
        store.put(answers)
    _store_looks(store, judge, requests, centres, rng)
    _store_ratings(store, requests, concepts, settings, rng)
    for name, table in tables.items():
        table.drop(columns="place", errors="ignore").to_parquet(folder / f"{name}.parquet")
    return {"images": len(requests), "gb": (folder / "judgements.sqlite").stat().st_size / 1e9}


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _store_looks(store: KeyedStore, judge: Judge, requests: pd.DataFrame, centres: np.ndarray, rng: Any) -> None:
    for start in range(0, len(requests), BLOCK):
        rows = requests.iloc[start : start + BLOCK]
        noise = _unit(rng.standard_normal((len(rows), centres.shape[1]), dtype=np.float32))
        vectors = _unit(centres[rows["place"]] + 0.6 * noise)
        alike = np.flatnonzero(rng.random(len(rows) - 1) < 0.01)
        vectors[alike + 1] = vectors[alike]
        hashes = rng.integers(0, 2**63, len(rows))
        first = rows.reset_index(drop=True).groupby("place").cumcount().to_numpy()
        repeated = (rng.random(len(rows)) < 0.01) & (first > 0)
        hashes[repeated] = 0
        colour = bytes(range(48)).hex()
        answers = {
            judge._key("image", image): {"embedding": _pack(row), "phash": f"{h:016x}", "colour": colour, "batch": 256}
            for image, row, h in zip(rows["image_id"], vectors, hashes.tolist(), strict=True)
        }
        store.put(answers)


def _store_ratings(
    store: KeyedStore, requests: pd.DataFrame, concepts: pd.DataFrame, settings: FilteringParameters, rng: Any
) -> None:
    how = settings.vision_language
    assert how is not None
    prompt = vision_language.read_rating_prompt(PROMPT)
    rater = vision_language._Rater(open_chat_model(how.model), Planned([]), store, how, Usage(), HERE)
    turns = [vision_language._turns(prompt, row) for row in concepts.to_dict("records")]
    reasons = [f"It has {5 * n} % of the features, and the light is right." for n in range(20)]
    for start in range(0, len(requests), BLOCK):
        rows = requests.iloc[start : start + BLOCK]
        given = np.minimum(5, 1 + rng.geometric(0.97, (len(rows), 3)) * 2 + rng.integers(0, 2, (len(rows), 3)))
        given[rng.random(len(rows)) < 0.02, 1] = 1
        said = rng.integers(0, len(reasons), (len(rows), 3))
        answers = {
            rater.key(image, turns[place]): {
                **dict(zip(CRITERIA, ratings, strict=True)),
                **{f"{name}_reason": reasons[n] for name, n in zip(CRITERIA, words, strict=True)},
                "cause": None,
            }
            for image, place, ratings, words in zip(
                rows["image_id"], rows["place"], given.tolist(), said.tolist(), strict=True
            )
        }
        store.put(answers)


class Clock:
    """Seconds per part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    def time(self, name: str, work: Callable[..., Any], *given: Any) -> Any:
        """Do some work and note how long it took."""
        start = time.perf_counter()
        done = work(*given)
        self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - start
        return done

    def watch(self, module: Any, name: str) -> None:
        """Time the calls of a judge."""
        judge = module.judge
        module.judge = lambda *given: self.time(name, judge, *given)


def filter_images(folder: Path, likeness: bool) -> dict[str, Any]:
    """Run the nodes of the filter, and the audit."""
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("concepts", "twins", "captions")}
    requests = pd.read_parquet(folder / "requests.parquet")
    images = Planned(requests["image_id"].tolist())
    store, settings, clock = KeyedStore(folder / "judgements.sqlite"), parameters(likeness), Clock()
    captions, twins, concepts = tables["captions"], tables["twins"], tables["concepts"]
    clock.watch(vision_language, "rate")
    clock.watch(distinct, "distinct")
    reset_peak_memory()
    start, cpu = time.perf_counter(), time.process_time()
    sources = (requests, captions, twins, concepts)
    measured = clock.time("measure", nodes.measure_images, images, *sources, store, settings)
    opinions, usage = clock.time("panel", nodes.ask_judges, measured, images, concepts, store, PROMPT, {}, settings)
    clock.parts["panel"] -= clock.parts["rate"] + clock.parts.get("distinct", 0.0)
    judged = clock.time("decide", nodes.judge_images, measured, opinions, settings)
    del opinions
    rows = clock.time("select", nodes.select_twins, judged, *sources, settings)
    counted = clock.time("summarise", nodes.summarise_filtering, judged, measured, rows, concepts, usage, settings)
    del measured
    audit = clock.time("audit", lambda: tabulate_yields(describe_images(judged, captions, concepts), UNRATED))
    clock.time("check", lambda: (JUDGEMENTS.validate(judged), CULTWIN.validate(rows)))
    clock.time("save", lambda: [t.to_parquet(folder / f"out{n}.parquet") for n, t in enumerate((judged, rows))])
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - cpu,
        "peak_gb": peak_memory() / 1e9,
        "parts": clock.parts,
        "kept": counted["kept"],
        "rejected": counted["rejected"],
        "rows": len(rows),
        "groups": len(audit),
    }


def measure(options: argparse.Namespace, images: int, folder: Path) -> dict[str, Any]:
    """Fill and filter, each in a process of its own."""
    place = folder / str(images)
    place.mkdir()
    filled = run_alone(__file__, part="fill", folder=place, images=images, width=options.width)
    print(f"{images} images: {filled['gb']:.2f} GB of answers", flush=True)
    found = run_alone(__file__, part="filter", folder=place)
    if images == options.small:
        found["distinct"] = run_alone(__file__, part="filter", folder=place, likeness=1)["parts"]["distinct"]
    shutil.rmtree(place)
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    """Run both sizes, or the part that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--likeness", type=int, default=0, help="1: distinct decides, too")
    parser.add_argument("--part", choices=["fill", "filter"])
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.part:
        work = {
            "fill": lambda: fill(options.folder, options.images, options.width),
            "filter": lambda: filter_images(options.folder, bool(options.likeness)),
        }
        print(json.dumps(work[options.part]()))
        return
    print(describe_machine(), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="cultureclip-filtering-", dir=options.folder))
    try:
        small, large = (measure(options, images, folder) for images in (options.small, options.images))
    finally:
        shutil.rmtree(folder)
    grown = log(large["seconds"] / small["seconds"]) / log(options.images / options.small)
    print(json.dumps({"images": options.images, **large, "exponent": round(grown, 3), "small": small}))


if __name__ == "__main__":
    main()
