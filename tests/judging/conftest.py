"""A tiny judge in open_clip's directory format, and small tables of twins for it to judge."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from open_clip import CLIP
from PIL import Image

from cultureclip.ids import concept_id, digest, twin_id
from cultureclip.pocket.encoder import model_config, save_encoder
from cultureclip.pocket.settings import EncoderSettings
from cultureclip.pocket.tokenizer import train_tokenizer

NAMES = {
    "kimono": ("JP", "dress"),
    "hanbok": ("KR", "dress"),
    "flag of Chad": ("TD", "flag"),
    "flag of Mali": ("ML", "flag"),
}


@dataclass
class Album:
    """Images in memory; a file's bytes may be damaged, and every read is counted."""

    pictures: dict[str, Image.Image]
    reads: list[str] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return list(self.pictures)

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        self.reads += ids
        return [self.pictures[i] for i in ids]


@dataclass
class Tables:
    concepts: pd.DataFrame
    twins: pd.DataFrame
    captions: pd.DataFrame
    requests: pd.DataFrame


def make_tables(pairs: list[tuple[str, str]], images_per_side: int = 3) -> Tables:
    """Concepts by name, twins of them, one caption per side and some images each."""
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    kinds = {name: NAMES.get(name, ("JP", "dress")) for name in names}
    ids = {name: concept_id(name, [kinds[name][0]], "Clothing") for name in names}
    concepts = pd.DataFrame(
        {
            "concept_id": [ids[n] for n in names],
            "name": names,
            "cultures": [[kinds[n][0]] for n in names],
            "universal": [kinds[n][1] for n in names],
            "category": "Clothing",
            "context": "A thing of its culture.",
            "key_visual_features": [["wide sleeves", "a sash"]] * len(names),
            "terms": "train",
            "source": "atlas",
        }
    )
    twins = pd.DataFrame(
        {
            "twin_id": [twin_id(ids[a], ids[b]) for a, b in pairs],
            "a_concept_id": [ids[a] for a, _ in pairs],
            "b_concept_id": [ids[b] for _, b in pairs],
            "split": "train",
        }
    )
    captions = pd.DataFrame(
        [
            {
                "caption_id": digest("caption", t, ids[n]),
                "twin_id": t,
                "concept_id": ids[n],
                "kind": "plain",
                "text": f"a picture of {n}",
            }
            for t, pair in zip(twins["twin_id"], pairs, strict=True)
            for n in pair
        ]
    )
    requests = pd.DataFrame(
        [
            {"image_id": digest("image", c, k), "caption_id": c}
            for c in captions["caption_id"]
            for k in range(images_per_side)
        ]
    )
    return Tables(concepts, twins, captions, requests)


def noise_picture(seed: int, size: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


@pytest.fixture(scope="session")
def judge_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    tokenizer = train_tokenizer(list(NAMES), vocabulary=300, max_length=24)
    tiny = EncoderSettings(seed=0, steps=1, batch=2, lr=1e-3, view_weight=0, width=32, layers=1, text_width=32)
    config = model_config(tokenizer, 16, tiny)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_encoder(CLIP(**config), config, tokenizer, folder)
    return folder


@pytest.fixture
def tables() -> Tables:
    return make_tables([("kimono", "hanbok"), ("flag of Chad", "flag of Mali")])
