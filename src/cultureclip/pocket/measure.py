"""How well the generator draws: the judge names each generated picture among all culture-bound concepts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from tqdm.auto import tqdm

from cultureclip.concepts.regions import region_name
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.encoder import load_encoder
from cultureclip.models.text_to_image import load_text_to_image

BATCH = 64


def measurement_prompt(concept: dict[str, Any]) -> str:
    """The prompt of the measurement: name, culture and the first two features."""
    features = ", ".join(list(concept["key_visual_features"])[:2])
    return f"{concept['name']} from {region_name(concept['cultures'][0])}, {features}"


def measure_generator(concepts: pd.DataFrame, settings: dict[str, Any]) -> dict[str, Any]:
    """Generate pictures of every drawn concept and let the judge pick the concept by cosine.

    Args:
        concepts: Table of concepts.
        settings: Pocket parameters as a dict.

    Returns:
        For ``objects`` and ``flags``: top-1 accuracy, n and a Wilson 95 % interval, and the concepts never recognised.
    """
    rows: list[dict[str, Any]] = concepts.sort_values("concept_id").to_dict("records")  # type: ignore[assignment]
    weights = Path(settings["weights"])
    generator = load_text_to_image(weights / "generator", device="cpu", dtype="float32")
    judge = load_encoder(weights / "judge")
    asked = [(i, k) for i in range(len(rows)) for k in range(settings["measured_images"])]
    prompts = [measurement_prompt(rows[i]) for i, _ in asked]
    seeds = [seed_from_id(digest("measure", rows[i]["concept_id"], k)) for i, k in asked]
    images = [
        image
        for start in tqdm(range(0, len(prompts), BATCH), desc="measure generator")
        for image in generator.generate(prompts[start : start + BATCH], seeds[start : start + BATCH], settings["call"])
    ]
    names = judge.encode_texts([row["name"] for row in rows])
    picked = np.argmax(judge.encode_images(images) @ names.T, axis=1)
    truth = np.array([i for i, _ in asked])
    is_flag = np.array([rows[i]["universal"] == "flag" for i in truth])
    figures: dict[str, Any] = {}
    for kind, mask in (("objects", ~is_flag), ("flags", is_flag)):
        hits = picked[mask] == truth[mask]
        interval = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
        never = sorted({rows[i]["name"] for i in truth[mask]} - {rows[i]["name"] for i in truth[mask][hits]})
        figures[kind] = {
            "top1": float(hits.mean()),
            "ci_low": float(interval.low),
            "ci_high": float(interval.high),
            "n": len(hits),
            "never_recognised": never,
        }
    return figures
