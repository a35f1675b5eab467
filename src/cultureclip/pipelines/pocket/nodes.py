"""Nodes that train and measure the pocket models."""

from typing import Any

import pandas as pd

from cultureclip.pipelines.pocket.parameters import PocketParameters


def read_drawn_concepts(atlas: pd.DataFrame) -> pd.DataFrame:
    """The atlas's concepts that pocket can draw."""
    from cultureclip.concepts.atlas import read_concepts

    concepts = read_concepts(atlas)
    return concepts[concepts["reference_image"].str.startswith("emoji:", na=False)]


def train_base_clip(concepts: pd.DataFrame, pocket: PocketParameters) -> dict[str, Any]:
    """Train the trainee's base and return its card."""
    from cultureclip.pocket.build import build_encoder

    return build_encoder("base_clip", concepts, pocket.model_dump())


def train_judge(concepts: pd.DataFrame, pocket: PocketParameters) -> dict[str, Any]:
    """Train the judge and return its card."""
    from cultureclip.pocket.build import build_encoder

    return build_encoder("judge", concepts, pocket.model_dump())


def train_generator(concepts: pd.DataFrame, pocket: PocketParameters) -> dict[str, Any]:
    """Train autoencoder and diffusion transformer and return the generator's card."""
    from cultureclip.pocket.build import build_generator

    return build_generator(concepts, pocket.model_dump())


def measure_generator(
    concepts: pd.DataFrame, generator_card: dict[str, Any], judge_card: dict[str, Any], pocket: PocketParameters
) -> dict[str, Any]:
    """Let the judge name generated pictures: top-1 accuracy among all concepts, objects and flags apart."""
    from cultureclip.pocket.measure import measure_generator as measure

    return {"generator": generator_card["name"], "judge": judge_card["name"], **measure(concepts, pocket.model_dump())}
