"""What two defects of the published twin matching do to the twins that pocket's language model proposes.

The model is asked for a twin of every thing of the atlas that is not a flag, once with this project's examples and once
with the published kind of example, which pairs two things of one culture (defect 9). The published way checks neither
the culture nor the look of what comes back, and its parser loses the features (defect 6). Here both axes are measured
after the fact: the cultures by their codes, the look by the judge, which sees the drawing of a thing of the atlas and
pocket's generator's picture of any other thing, made from the features that the model named.

Shares are [share, low, high] with Wilson's 95 % interval beside their n. ``cultures`` are those named most often.

    python bench/twin_proposals.py [--store answers.sqlite] [--concepts 187]

The last line is one JSON object.
"""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from kedro.config import OmegaConfigLoader
from statsmodels.stats.proportion import proportion_confint

from cultureclip.concepts.twin_proposals import (
    NO_FEATURES,
    SAME_CULTURE,
    TwinProposals,
    TwinProposalSettings,
    propose_twins,
    read_twins_prompt,
)
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.images.store import ShardStore
from cultureclip.models.chat.open import open_chat_model
from cultureclip.pipelines.mining.nodes import embed_looks, read_concepts
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.settings import CONFIG_LOADER_ARGS

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
EXAMPLE = "RU"
"""Culture of the published kind of example in ``prompts/twins.yml``."""
SHOWN = 8


def share(hits: int, total: int) -> list[Any]:
    low, high = proportion_confint(hits, total, method="wilson") if total else (0.0, 1.0)
    return [*(round(float(value), 3) for value in (hits / max(1, total), low, high)), f"n = {total}"]


def read_settings() -> MiningParameters:
    """Read the default environment's mining, with concepts without a picture drawn as synthesis draws."""
    stages = OmegaConfigLoader(str(CONF), env="base", **CONFIG_LOADER_ARGS)["parameters"]
    synthesis = stages["synthesis"]
    drawing = {key: synthesis[key] for key in ("model", "device", "dtype", "scheduler", "call") if key in synthesis}
    drawing |= {"batch_size": 64, "part_size": 256, "prompt": "{name}: {features}", "pictures": 1}
    mining = stages["mining"]
    off = {"bottom_up": mining["bottom_up"] | {"enabled": False}, "portraits": drawing}
    return MiningParameters.model_validate(mining | off)


def read_things(store: KeyedStore, settings: MiningParameters, most: int) -> pd.DataFrame:
    """Return the concepts of the atlas that are not flags."""
    names = ("top_down", "bottom_up", "category")
    prompts = [yaml.safe_load((CONF / f"base/prompts/{name}.yml").read_text(encoding="utf-8")) for name in names]
    atlas = (ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8")
    concepts = read_concepts(atlas, store, *prompts, settings)[0]
    return concepts[concepts["universal"] != "flag"].head(most).reset_index(drop=True)


def compare(proposed: TwinProposals) -> tuple[pd.DataFrame, dict[str, set[str]]]:
    """Return the named pairs, and the cultures of every concept."""
    cultures = {row.concept_id: set(row.cultures) for row in proposed.concepts.itertuples()}
    return proposed.proposals.dropna(subset=["b_concept_id"]), cultures


def measure_cultures(proposed: TwinProposals) -> dict[str, Any]:
    """Say which cultures are named, of answers that name a country and another thing."""
    pairs, cultures = compare(proposed)
    refused = proposed.proposals.loc[proposed.proposals["problem"] == SAME_CULTURE, "a_concept_id"]
    featureless = int((proposed.proposals["problem"] == NO_FEATURES).sum())
    same = len(refused) + sum(not cultures[a].isdisjoint(cultures[b]) for a, b in _ends(pairs))
    named = [cultures[b] for b in pairs["b_concept_id"]] + [cultures[a] for a in refused]
    counted = Counter(code for codes in named for code in codes)
    total = len(pairs) + len(refused)
    return {
        "asked": len(proposed.proposals),
        "problems": proposed.figures["problems"],
        "same_culture": share(same, total),
        "of_the_example": share(sum(EXAMPLE in codes for codes in named), total),
        "without_features": featureless,
        "distinct": len(counted),
        "cultures": dict(counted.most_common(SHOWN)),
    }


def measure_looks(
    proposed: TwinProposals, store: KeyedStore, images: ShardStore, settings: MiningParameters
) -> dict[str, Any]:
    """Say how many named pairs break either axis, by the checks that all other pairs pass."""
    pairs, cultures = compare(proposed)
    behind = pd.DataFrame({"concept_id": [], "picture_url": []}, dtype=object)
    looks = embed_looks(proposed.concepts, behind, store, images, settings)
    look_of = dict(zip(looks["concept_id"], looks["embedding"], strict=True))
    alike = {(a, b): float(np.dot(look_of[a], look_of[b])) for a, b in _ends(pairs) if a in look_of and b in look_of}
    least = settings.twins.min_visual_similarity
    shared = {(a, b): not cultures[a].isdisjoint(cultures[b]) for a, b in alike}
    different = {ends: cosine < least for ends, cosine in alike.items()}
    return {
        "pairs": len(pairs),
        "of_the_atlas": share(int((~pairs["is_new"]).sum()), len(pairs)),
        "without_any_picture": len(pairs) - len(alike),
        "same_culture": share(sum(shared.values()), len(alike)),
        "not_alike": share(sum(different.values()), len(alike)),
        "pass_both": share(sum(not shared[ends] and not different[ends] for ends in alike), len(alike)),
        "cosine_median": round(float(np.median(list(alike.values()))), 3) if alike else None,
    }


def measure_features(proposed: TwinProposals) -> dict[str, Any]:
    """Say how many named twins have no feature that a caption or a judge could use."""
    pairs, _ = compare(proposed)
    features = {row.concept_id: len(row.key_visual_features) for row in proposed.concepts.itertuples()}
    return {"twins_without_features": share(sum(not features[b] for b in pairs["b_concept_id"]), len(pairs))}


def _ends(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(pairs["a_concept_id"], pairs["b_concept_id"], strict=True))


def measure(folder: Path, store_path: str, most: int) -> dict[str, Any]:
    settings, store = read_settings(), KeyedStore(store_path)
    things = read_things(store, settings, most)
    prompt = read_twins_prompt(yaml.safe_load((CONF / "base/prompts/twins.yml").read_text(encoding="utf-8")))
    model_settings = settings.bottom_up.language_model
    model = open_chat_model(model_settings)
    images = ShardStore(folder / "images")

    def ask(*defects: int) -> TwinProposals:
        asked = TwinProposalSettings.model_validate(
            {"language_model": model_settings, "licence": "Apache-2.0", "max_new_tokens": 160, "as_released": defects}
        )
        return propose_twins(things, model, store, prompt, asked)

    found: dict[str, Any] = {}
    for name, defects in (("checked", ()), ("released_example", (9,)), ("released", (6, 9))):
        proposed = ask(*defects)
        found[name] = measure_cultures(proposed) | measure_features(proposed)
        if name == "released_example":
            found[name] |= measure_looks(proposed, store, images, settings)
        print(name, json.dumps(found[name], ensure_ascii=False), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="file of answers that are not asked again")
    parser.add_argument("--concepts", type=int, default=187, help="things asked about, the first ones of the atlas")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        print(json.dumps(measure(Path(made), given.store or f"{made}/answers.sqlite", given.concepts)))


if __name__ == "__main__":
    main()
