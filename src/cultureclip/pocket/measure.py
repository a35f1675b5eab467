"""Measurements of the pocket models for their cards.

A concept counts as recognised when the name whose text embedding is nearest to the picture's is its own, among all
culture-bound concepts, or that of a concept drawn alike to the pixel (Chad and Romania).
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy.stats import binomtest

from cultureclip.concepts.looks import choose_representatives
from cultureclip.concepts.regions import region_name
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.diffusion.text_to_image import load_text_to_image
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.pictures.emoji import STYLES
from cultureclip.pocket.build import CARD_NAME
from cultureclip.pocket.data import culture_char
from cultureclip.pocket.pictures import render_all
from cultureclip.pocket.settings import PocketSettings

BATCH = 64
ALIKE_TOLERANCE = 0.5
"""Mean absolute difference in grey levels, in either style, below which two drawings are the same."""


def measurement_prompt(concept: dict[str, Any]) -> str:
    """Return the prompt of the measurement: name, culture and the first two features."""
    features = ", ".join(list(concept["key_visual_features"])[:2])
    return f"{concept['name']} from {region_name(concept['cultures'][0])}, {features}"


def measure_models(concepts: pd.DataFrame, settings: PocketSettings) -> dict[str, Any]:
    """Measure the three models and write each one's figures onto its card.

    Args:
        concepts: Table of concepts.
        settings: Settings of the shipped models.

    Returns:
        Model -> figures: for ``objects`` and ``flags`` top-1 accuracy, n, a Wilson 95 % interval, and what was never
        recognised. The CLIPs name the real OpenMoji drawings; the judge names what the generator draws.
    """
    rows: list[dict[str, Any]] = concepts.sort_values("concept_id").to_dict("records")  # type: ignore[assignment]
    weights = Path(settings.weights)
    chars = [culture_char(row["reference_image"]) for row in rows]
    drawings = [render_all(chars, style, settings.size).permute(0, 2, 3, 1).numpy() for style in STYLES]
    stands_for = choose_representatives(pd.DataFrame(rows), drawings, ALIKE_TOLERANCE)
    real = [Image.fromarray(pixels) for pixels in drawings[STYLES.index("openmoji")]]
    everything = list(range(len(rows)))
    judge, base = (load_encoder(weights / name) for name in ("judge", "base_clip"))
    shown, generated = _generate(rows, weights / "generator", settings)
    figures = {
        "base_clip": _recognise(base, real, everything, rows, stands_for),
        "judge": _recognise(judge, real, everything, rows, stands_for),
        "generator": _recognise(judge, generated, shown, rows, stands_for),
    }
    for name, found in figures.items():
        add_to_card(weights / name / CARD_NAME, found)
    return figures


def _generate(
    rows: list[dict[str, Any]], generator: Path, settings: PocketSettings
) -> tuple[list[int], list[Image.Image]]:
    """Return ``measured_images`` pictures of every concept: places of the concepts, and the pictures."""
    pipeline = load_text_to_image(generator, device="cpu", dtype="float32")
    asked = [(i, k) for i in range(len(rows)) for k in range(settings.measured_images)]
    prompts = [measurement_prompt(rows[i]) for i, _ in asked]
    seeds = [seed_from_id(digest("measure", rows[i]["concept_id"], k)) for i, k in asked]
    call = settings.call.arguments()
    images = [
        image
        for start in progress_bar(range(0, len(prompts), BATCH), desc="measure generator")
        for image in pipeline.generate(prompts[start : start + BATCH], seeds[start : start + BATCH], call)
    ]
    return [i for i, _ in asked], images


def _recognise(
    encoder: ImageTextEncoder,
    images: list[Image.Image],
    shown: list[int],
    rows: list[dict[str, Any]],
    stands_for: list[str],
) -> dict[str, Any]:
    names = encoder.encode_texts([row["name"] for row in rows])
    picked = np.argmax(encoder.encode_images(images) @ names.T, axis=1)
    same = np.array(stands_for, dtype=object)
    hit = same[picked] == same[shown]
    is_flag = np.array([rows[i]["universal"] == "flag" for i in shown])
    return {kind: _figure(hit[m], [rows[i]["name"] for i in np.array(shown)[m]]) for kind, m in _kinds(is_flag)}


def _kinds(is_flag: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(kind, mask) for kind, mask in (("objects", ~is_flag), ("flags", is_flag)) if mask.any()]


def _figure(hit: np.ndarray, names: list[str]) -> dict[str, Any]:
    interval = binomtest(int(hit.sum()), len(hit)).proportion_ci(method="wilson")
    recognised = {name for name, right in zip(names, hit, strict=True) if right}
    return {
        "top1": float(hit.mean()),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "n": len(hit),
        "never_recognised": sorted(set(names) - recognised),
    }


def add_to_card(path: Path, figures: dict[str, Any]) -> None:
    """Write figures onto a model's card, without lists of names."""
    card = json.loads(path.read_text(encoding="utf-8"))
    kept = {
        kind: {k: v for k, v in figure.items() if k != "never_recognised"} if isinstance(figure, dict) else figure
        for kind, figure in figures.items()
    }
    path.write_text(json.dumps(card | {"figures": kept}, indent=2) + "\n", encoding="utf-8")
