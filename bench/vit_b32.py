"""ViT-B/32 with random weights in the production format, and random twins for it."""

import json
import tempfile
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.factory import get_model_config

from cultureclip.clip.data.batches import TwinData
from cultureclip.models.checkpoint import save_atomically
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, ImageTextEncoder, load_encoder

NAME = "ViT-B-32-quickgelu"
SENTENCE = "a red kimono with silk obi sash worn by woman in front of wooden torii gate at spring festival"
WORDS = SENTENCE.split()


def write_vit_b32(folder: Path, seed: int = 0) -> Path:
    """Write an open_clip directory of ViT-B/32 as OpenAI's weights need it, QuickGELU and all; about 600 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = open_clip.create_model(NAME)
    config = {"model_cfg": get_model_config(NAME), "preprocess_cfg": dict(model.visual.preprocess_cfg)}
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    save_atomically(model.state_dict(), folder / WEIGHTS_NAME)
    return folder


def load_vit_b32() -> tuple[Path, ImageTextEncoder]:
    """The directory, made once a machine, and the model."""
    folder = Path(tempfile.gettempdir()) / "cultureclip-bench" / NAME
    if not (folder / WEIGHTS_NAME).exists():
        write_vit_b32(folder)
    return folder, load_encoder(folder)


def random_twins(encoder: ImageTextEncoder, rows: int, seed: int = 0) -> TwinData:
    """Twins of random pixels; captions of 8 to 14 words, none of which repeats, and concepts, which do."""
    rng = np.random.default_rng(seed)
    captions = [" ".join(rng.choice(WORDS, rng.integers(8, 15))) + f" {i}" for i in range(2 * rows)]
    concepts = [f"{WORDS[i % 19]} {WORDS[i // 19 % 19]}" for i in range(max(2, rows))]
    size = encoder.model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    return TwinData(
        row_ids=[str(i) for i in range(rows)],
        pixels=rng.integers(0, 256, (2 * rows, 3, height, width), dtype=np.uint8),
        images=torch.arange(2 * rows).view(2, rows),
        readable=torch.ones(2 * rows, dtype=torch.bool),
        mirrorable=torch.zeros(2 * rows, dtype=torch.bool),
        tokens=encoder.tokenizer([*captions, *concepts]),
        captions=torch.arange(2 * rows).view(2, rows),
        concepts=torch.from_numpy(rng.integers(0, len(concepts), (2, rows)) + 2 * rows),
        unreadable={},
        cut_texts=0,
    )
