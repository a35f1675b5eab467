"""Random-weight models of a few thousand parameters, written in the formats that production code loads."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderTiny,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from cultureclip.images.settings import GenerationSettings
from cultureclip.pocket.tokenizer import train_tokenizer

TINY_CALL = {"num_inference_steps": 2, "guidance_scale": 1.0, "height": 16, "width": 16, "max_sequence_length": 0}
"""Call arguments that suit :func:`write_tiny_sd3`."""

_TEXTS = ("a red kimono with white cranes", "the flag of Chad", "a bowl of ramen with egg")
_TEXT_WIDTH = 16


def write_tiny_sd3(path: Path, seed: int = 0, list_absent_parts: bool = True) -> Path:
    """Write a ``StableDiffusion3Pipeline`` directory of the pocket generator's classes: 16 px pictures, 4 px latents.

    Args:
        path: The directory, made when absent.
        seed: Of the random weights.
        list_absent_parts: Whether ``model_index.json`` lists the T5 parts as null, as SD3.5's layout has it without
            its T5 files, or does not mention them at all.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tokenizer = train_tokenizer(_TEXTS, vocabulary=300, max_length=12)
        text = CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=_TEXT_WIDTH,
            intermediate_size=32,
            projection_dim=_TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=tokenizer.model_max_length,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        pipeline = StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=4,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=2 * _TEXT_WIDTH,
                caption_projection_dim=16,
                pooled_projection_dim=2 * _TEXT_WIDTH,
                pos_embed_max_size=2,
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderTiny(
                latent_channels=4,
                encoder_block_out_channels=(8, 8, 8),
                decoder_block_out_channels=(8, 8, 8),
                num_encoder_blocks=(1, 1, 1),
                num_decoder_blocks=(1, 1, 1),
            ),
            text_encoder=CLIPTextModelWithProjection(text),
            tokenizer=tokenizer,
            text_encoder_2=CLIPTextModelWithProjection(text),
            tokenizer_2=tokenizer,
            text_encoder_3=None,
            tokenizer_3=None,
        )
        pipeline.save_pretrained(path)  # type: ignore[attr-defined]
    index = json.loads((path / "model_index.json").read_text())
    for part in ("text_encoder_3", "tokenizer_3"):
        index.pop(part, None)
        if list_absent_parts:
            index[part] = [None, None]
    (path / "model_index.json").write_text(json.dumps(index, indent=2))
    return path


def copy_model(source: Path, target: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(source, target))


def tiny_settings(model: str | Path, **changes: Any) -> GenerationSettings:
    """How a tiny generator is run: two images at once, two in a stored file."""
    settings = {"model": str(model), "device": "cpu", "dtype": "float32", "scheduler": None, "call": TINY_CALL}
    return GenerationSettings.model_validate(settings | {"batch_size": 2, "part_size": 2} | changes)
