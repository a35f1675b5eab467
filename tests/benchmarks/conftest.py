from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cultureclip.ids import concept_id, twin_id
from tests.support.tiny_clip import write_tiny_clip

ConceptRow = tuple[str, str, str, str]
"""Name, cultures (separated by spaces), universal, reference image."""


def make_concepts(rows: list[ConceptRow]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "concept_id": concept_id(name, cultures.split(), "Symbol"),
            "name": name,
            "cultures": sorted(cultures.split()),
            "universal": universal,
            "category": "Symbol",
            "context": "somewhere",
            "key_visual_features": ["a stripe", "a star"],
            "aliases": [],
            "source": "test",
            "source_ref": "test",
            "licence": "test",
            "terms": "train",
            "reference_image": reference,
        }
        for name, cultures, universal, reference in rows
    )


def make_twins(concepts: pd.DataFrame, pairs: list[tuple[str, str, str]]) -> pd.DataFrame:
    ids = dict(zip(concepts["name"], concepts["concept_id"], strict=True))
    columns = ["twin_id", "a_concept_id", "b_concept_id", "category", "visual_similarity", "split", "verdict", "reason"]
    rows = []
    for a, b, reason in pairs:
        first, second = sorted((ids[a], ids[b]))
        verdict = "rejected" if reason else "accepted"
        rows.append((twin_id(first, second), first, second, "Symbol", 0.9, "train", verdict, reason or None))
    return pd.DataFrame(rows, columns=columns)


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(scope="session")
def flags() -> pd.DataFrame:
    regions = {"TD": "🇹🇩", "RO": "🇷🇴", "ML": "🇲🇱", "GN": "🇬🇳", "IE": "🇮🇪", "CI": "🇨🇮"}
    rows = [(f"flag of {code}", code, "flag", f"emoji:{char}") for code, char in regions.items()]
    rows += [
        ("kimono", "JP", "garment", "emoji:👘"),
        ("sushi", "JP", "dish", "emoji:🍣"),
        ("torii", "JP", "gate", "emoji:⛩️"),
        ("flag of JP", "JP", "flag", "emoji:🇯🇵"),
        ("taco", "MX US", "dish", "emoji:🌮"),
    ]
    return make_concepts(rows)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Writes a random open_clip model directory of 16 px."""

    def write(seed: int) -> Path:
        return write_tiny_clip(tmp_path_factory.mktemp(f"model{seed}"), seed, context_length=24)

    return write
