"""Nodes that train and measure the pocket models."""

from typing import Any

import pandas as pd

from cultureclip.pipelines.pocket.parameters import PocketParameters


def read_drawn_concepts(atlas: str) -> pd.DataFrame:
    """Return the atlas's concepts that pocket can draw."""
    from cultureclip.concepts.atlas import read_concepts
    from cultureclip.reading.csv_table import read_csv_table

    concepts = read_concepts(read_csv_table(atlas))
    return concepts[concepts["reference_image"].str.startswith("emoji:", na=False)]


def train_base_clip(concepts: pd.DataFrame, parameters: PocketParameters) -> dict[str, Any]:
    """Train the trainee's base and return its card."""
    from cultureclip.pocket.build import build_encoder

    return build_encoder("base_clip", concepts, parameters)


def train_judge(concepts: pd.DataFrame, parameters: PocketParameters) -> dict[str, Any]:
    """Train the judge and return its card."""
    from cultureclip.pocket.build import build_encoder

    return build_encoder("judge", concepts, parameters)


def train_generator(concepts: pd.DataFrame, parameters: PocketParameters) -> dict[str, Any]:
    """Train autoencoder and diffusion transformer and return the generator's card."""
    from cultureclip.pocket.build import build_generator

    return build_generator(concepts, parameters)


def measure_models(
    concepts: pd.DataFrame,
    base_clip_card: dict[str, Any],
    judge_card: dict[str, Any],
    generator_card: dict[str, Any],
    parameters: PocketParameters,
) -> dict[str, Any]:
    """Measure which share of real and generated drawings the models recognise; the shipped cards get the figures."""
    from cultureclip.pocket.measure import measure_models as measure

    models = {card["name"]: card["commit"] for card in (base_clip_card, judge_card, generator_card)}
    return {"commits": models, "figures": measure(concepts, parameters)}


def train_vision_judge(
    concepts: pd.DataFrame,
    judge_card: dict[str, Any],
    generator_card: dict[str, Any],
    parameters: PocketParameters,
) -> dict[str, Any]:
    """Train the vision-language judge over the judge's towers, on what the generator draws, and return its card."""
    from cultureclip.pocket.vision_judge.build import build_vision_judge

    return {"over": [judge_card["commit"], generator_card["commit"]]} | build_vision_judge(concepts, parameters)


def measure_vision_judge(
    concepts: pd.DataFrame, vision_judge_card: dict[str, Any], parameters: PocketParameters
) -> dict[str, Any]:
    """Measure the vision-language judge against the truth; the shipped card gets the figures."""
    from cultureclip.pocket.vision_judge.measure import measure_vision_judge as measure

    return {"commit": vision_judge_card["commit"], "figures": measure(concepts, parameters)}
