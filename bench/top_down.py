"""Top-down mining with pocket's language model, scored against the atlas: precision, recall and what was left out.

A concept that the model names is found if mining's own merging joins it to a concept of the atlas; flags are not asked
for. The atlas is small, so most right concepts are not in it and precision is a lower bound. Prints the concepts found
and the rows left out by reason, then one JSON object: ``precision`` and ``recall``, each [share, low, high] with
Wilson's 95 % interval, ``named`` and ``wanted`` (their n), ``questions`` and ``s_question``.

    python bench/top_down.py [--regions JP US IN CN GB FR IT MX] [--store answers.sqlite] [--checked]
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from statsmodels.stats.proportion import proportion_confint

from cultureclip.concepts.gather import gather_concepts
from cultureclip.concepts.proposals import read_top_down_prompt
from cultureclip.concepts.settings import MergeSettings
from cultureclip.concepts.sources.atlas import AtlasSource
from cultureclip.concepts.sources.source import Material
from cultureclip.concepts.sources.top_down import TopDownSource
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError

ROOT = Path(__file__).parents[1]
CATEGORIES = ("Cuisine", "Clothing", "Art", "Architecture", "Daily Life", "Festival")
"""Categories of which the atlas has things other than flags."""


def share(hits: int, total: int) -> list[float]:
    low, high = proportion_confint(hits, total, method="wilson")
    return [round(value, 4) for value in (hits / total, low, high)]


def measure(regions: list[str], store: str, checked: bool) -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "conf/base/parameters_mining.yml").read_text(encoding="utf-8"))["mining"]
    prompt = yaml.safe_load((ROOT / "conf/base/prompts/top_down.yml").read_text(encoding="utf-8"))
    model = config["bottom_up"]["language_model"] | {"batch": 16}
    source = TopDownSource(
        kind="top_down",
        language_model=model,
        checker=model if checked else None,
        regions=tuple(regions),
        categories=CATEGORIES,
        concepts=3,
        questions=1,
        tries=2,
        max_new_tokens=240,
        temperature=0.3,
        licence="Apache-2.0",
    )
    atlas = (ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8")
    material = Material(atlas, KeyedStore(store), read_top_down_prompt(prompt))
    try:
        gathered = gather_concepts([AtlasSource(), source], material, MergeSettings(**config["merging"]))
    except SourceDataError as error:  # a checker that accepts nothing
        return {"named": 0, "refused": str(error)}
    concepts = gathered.concepts.set_index("concept_id")
    by_kind = gathered.sources.groupby("kind")["concept_id"].agg(set)
    wanted = {
        concept
        for concept in by_kind["atlas"]
        if concepts["category"][concept] in CATEGORIES and not set(concepts["cultures"][concept]).isdisjoint(regions)
    }
    named, found = by_kind["top_down"], by_kind["top_down"] & by_kind["atlas"]
    report = gathered.report["sources"][1]
    print("found:", ", ".join(sorted(concepts["name"][concept] for concept in found)))
    print("named, not in the atlas:", ", ".join(sorted(concepts["name"][concept] for concept in named - found)))
    print("left out:", report["dropped"])
    usage = report["usage"]
    return {
        "precision": share(len(found), len(named)),
        "recall": share(len(found & wanted), len(wanted)),
        "named": len(named),
        "wanted": len(wanted),
        "rows": report["rows"],
        "questions": len(source.cells()),
        "s_question": round(usage["seconds"] / max(1, usage["asked"]), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", nargs="+", default=["JP", "US", "IN", "CN", "GB", "FR", "IT", "MX"])
    parser.add_argument("--store", help="file of answers that are not asked again")
    parser.add_argument("--checked", action="store_true", help="the model is asked about each concept, too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(given.regions, given.store or f"{folder}/answers.sqlite", given.checked)))


if __name__ == "__main__":
    main()
