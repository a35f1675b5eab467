"""Pictures that pocket's generator draws of every concept: what the judge will have to rate."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cultureclip.concepts.regions import region_name
from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest, seed_from_id
from cultureclip.images.settings import CallSettings
from cultureclip.models.diffusion.text_to_image import load_text_to_image
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically

_BATCH = 64


def draw_concepts(
    rows: list[dict[str, Any]], generator: Path, call: CallSettings, count: int, seed: int, kept: Path
) -> torch.Tensor:
    """Draw every concept several times, by prompts with changing features; read the pictures if they are kept.

    Args:
        rows: Rows of the concepts table.
        generator: Directory of the generator.
        call: Arguments of its call.
        count: Pictures of each concept.
        seed: Another seed draws other pictures.
        kept: File that keeps the pictures.

    Returns:
        uint8 [N, count, 3, H, W].
    """
    if kept.exists():
        found: torch.Tensor = load_tensors(kept)[0]["pictures"]
        return found
    model = load_text_to_image(generator, device="cpu", dtype="float32")
    keys = [digest("vision judge", seed, row["concept_id"], k) for row in rows for k in range(count)]
    prompts = [_prompt(rows[i // count], random.Random(key)) for i, key in enumerate(keys)]
    pictures = [
        np.asarray(picture)
        for start in progress_bar(range(0, len(keys), _BATCH), desc="draw for the judge")
        for picture in model.generate(
            prompts[start : start + _BATCH],
            [seed_from_id(key) for key in keys[start : start + _BATCH]],
            call.arguments(),
        )
    ]
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    drawn = stacked.reshape(len(rows), count, *stacked.shape[1:])
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_atomically({"pictures": drawn}, kept)
    return drawn


def _prompt(row: dict[str, Any], rng: random.Random) -> str:
    features = list(row["key_visual_features"])
    shown = ", ".join(rng.sample(features, k=min(rng.choice((1, 2, 2)), len(features))))
    return f"{row['name']} from {region_name(rng.choice(row['cultures']))}, {shown}"
