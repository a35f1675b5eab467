"""ViT-B/32 and other CLIPs with random weights in the production format, and random twins for them."""

import json
import tempfile
from pathlib import Path

import numpy as np
import open_clip
import torch
from open_clip.factory import get_model_config

from cultureclip.clip.data.batches import TwinData
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, ImageTextEncoder, load_encoder
from cultureclip.models.weights.checkpoint import save_atomically

NAME = "ViT-B-32-quickgelu"
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
SENTENCE = "a red kimono with silk obi sash worn by woman in front of wooden torii gate at spring festival"
WORDS = SENTENCE.split()


TINY = {
    "embed_dim": 64,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
"""A CLIP of two layers, for runs that only show that everything works."""


def write_vit(folder: Path, name: str = NAME, seed: int = 0) -> Path:
    """Write an open_clip directory of a named model, or of :data:`TINY`; ViT-B/32 takes about 600 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    described = TINY if name == "tiny" else get_model_config(name)
    model = open_clip.model.CLIP(**TINY) if name == "tiny" else open_clip.create_model(name)
    shown = {"size": TINY["vision_cfg"]["image_size"], "mean": MEAN, "std": STD}
    config = {"model_cfg": described, "preprocess_cfg": shown if name == "tiny" else dict(model.visual.preprocess_cfg)}
    (folder / CONFIG_NAME).write_text(json.dumps(config))
    save_atomically(model.state_dict(), folder / WEIGHTS_NAME)
    return folder


def load_vit(name: str) -> tuple[Path, ImageTextEncoder]:
    """The directory of a model, made once a machine, and the model."""
    folder = Path(tempfile.gettempdir()) / "cultureclip-bench" / name
    if not (folder / WEIGHTS_NAME).exists():
        write_vit(folder, name)
    return folder, load_encoder(folder)


def load_vit_b32() -> tuple[Path, ImageTextEncoder]:
    """The directory of ViT-B/32 and the model."""
    return load_vit(NAME)


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
