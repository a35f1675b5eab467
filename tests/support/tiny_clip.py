"""A tiny open_clip model with random weights, written as the directory that ``local-dir:`` loads."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from open_clip.model import CLIP

from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME
from cultureclip.models.weights.checkpoint import save_atomically
from cultureclip.pocket.tokenizer import train_tokenizer

WORDS = (
    "a red kimono obi silk sash taco corn tortilla shell torii gate wooden red flag of Chad Mali Peru in the picture"
)


def write_tiny_clip(
    folder: Path,
    seed: int = 0,
    size: int = 16,
    context_length: int = 16,
    quick_gelu: bool = False,
    corpus: Iterable[str] = (WORDS,),
) -> Path:
    """Write config, safetensors weights and a ``CLIPTokenizer`` of its own; about 100 k parameters.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(corpus, vocabulary=320, max_length=context_length)
    config = {
        "embed_dim": 24,
        "quick_gelu": quick_gelu,
        "vision_cfg": {"image_size": size, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {
            "context_length": context_length,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    }
    half = [0.5, 0.5, 0.5]
    preprocess = {"mean": half, "std": half, "interpolation": "bicubic", "resize_mode": "squash"}
    (folder / CONFIG_NAME).write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}), encoding="utf-8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state = CLIP(**config).state_dict()
    save_atomically({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, folder / WEIGHTS_NAME)
    tokenizer.save_pretrained(folder)
    return folder
