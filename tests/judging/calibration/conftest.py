"""Judged images of many concepts with people's ratings, drawn with a known truth."""

import numpy as np
import pandas as pd

from cultureclip.judging.calibration.settings import AgreementSettings
from cultureclip.judging.rating import CRITERIA

SMALL = AgreementSettings(min_images=10, min_concepts=5, resamples=200, seed=1)


def draw_images(concepts: int = 30, each: int = 4, seed: int = 0) -> pd.DataFrame:
    """One judge's images: half of the concepts from Japan and Korea, half from Chad."""
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(concepts), each)
    frame = pd.DataFrame(
        {
            "judge": "clip",
            "image_id": [f"i{k}" for k in range(len(number))],
            "concept_id": [f"c{k}" for k in number],
            "category": np.where(number % 2, "Art", "Cuisine"),
            "cultures": [["JP", "KR"] if k % 2 else ["TD"] for k in number],
        }
    )
    level = rng.normal(size=concepts)[number]
    for rating in CRITERIA:
        frame[rating] = np.clip(np.round(3.4 + 1.2 * level + 0.6 * rng.normal(size=len(number))), 1, 5)
    return frame


def draw_people(images: pd.DataFrame, raters: int = 2, seed: int = 1, noise: float = 0.5) -> pd.DataFrame:
    """People who rate as the judge does, give or take."""
    rng = np.random.default_rng(seed)
    parts = []
    for rater in range(raters):
        part = images[["image_id", *CRITERIA]].assign(rater=f"r{rater}")
        noisy = part[list(CRITERIA)] + noise * rng.normal(size=(len(part), len(CRITERIA)))
        part[list(CRITERIA)] = np.clip(noisy.round(), 1, 5)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
