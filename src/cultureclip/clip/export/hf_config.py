"""Conversion between open_clip's config and Hugging Face's ``CLIPConfig``."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from transformers import CLIPConfig

from cultureclip.errors import WeightsError

_MODEL = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "init_logit_scale"}
_VISION = {"layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "output_tokens"}
_TEXT = {
    *("context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "pool_type", "eos_id"),
    *("hf_tokenizer_name", "pad_id", "output_tokens"),
}
_QUICK_GELU = {"quick_gelu": True, "gelu": False}
_POOLINGS = ("argmax", "eos")
_LEGACY_END = 2
"""``eos_token_id`` at which ``CLIPModel`` pools at the highest id: configs from before transformers 4.31 have it."""


def check_fits_clip_model(model_config: Mapping[str, Any], source: Path) -> None:
    """Refuse an open_clip model that ``CLIPModel`` cannot be.

    Args:
        model_config: ``model_cfg`` of an open_clip config.
        source: Named in the error.

    Raises:
        WeightsError: if the model has parts that ``CLIPModel`` does not have.
    """
    if misfits := _misfits_in_open_clip(model_config):
        raise WeightsError(source, f"CLIPModel has no {', '.join(misfits)}", "Use the open_clip directory itself")


def to_clip_config(model_config: Mapping[str, Any], tokenizer: Any, source: Path) -> CLIPConfig:
    """Return the ``CLIPConfig`` of an open_clip model that fits.

    Args:
        model_config: ``model_cfg`` of an open_clip config.
        tokenizer: The Hugging Face tokenizer that goes with the model.
        source: Named in the error.

    Raises:
        WeightsError: if the tokenizer does not end a text with the token that open_clip pools at.
    """
    vision, text = CLIPVisionCfg(**model_config["vision_cfg"]), CLIPTextCfg(**model_config["text_cfg"])
    shared = {
        "projection_dim": model_config["embed_dim"],
        "hidden_act": "quick_gelu" if model_config.get("quick_gelu") else "gelu",
    }
    return CLIPConfig(
        projection_dim=model_config["embed_dim"],
        vision_config={
            "hidden_size": vision.width,
            "intermediate_size": int(vision.width * vision.mlp_ratio),
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.width // vision.head_width,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            **shared,
        },
        text_config={
            "vocab_size": text.vocab_size,
            "hidden_size": text.width,
            "intermediate_size": int(text.width * text.mlp_ratio),
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "max_position_embeddings": text.context_length,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": _end_token(text, tokenizer, source),
            "pad_token_id": tokenizer.pad_token_id,
            **shared,
        },
    )


def to_open_clip_config(config: CLIPConfig, tokenizer: Any, source: Path) -> dict[str, Any]:
    """Return ``model_cfg`` of an open_clip config for a ``CLIPModel`` and its tokenizer.

    Args:
        config: Config of the ``CLIPModel``.
        tokenizer: Hugging Face tokenizer for the open_clip model.
        source: Named in the error.

    Raises:
        WeightsError: if the model has parts that open_clip's ``CLIP`` lacks, or the tokenizer is not the model's.
    """
    if misfits := _misfits_in_clip_model(config):
        raise WeightsError(source, f"open_clip's CLIP has no {', '.join(misfits)}", "Use CLIPModel itself")
    vision, text = config.vision_config, config.text_config
    by_highest_id = text.eos_token_id in (_LEGACY_END, text.vocab_size - 1)
    text_cfg = {
        "context_length": text.max_position_embeddings,
        "vocab_size": text.vocab_size,
        "hf_tokenizer_name": "local",
        "width": text.hidden_size,
        "heads": text.num_attention_heads,
        "layers": text.num_hidden_layers,
        "mlp_ratio": _ratio(text.intermediate_size, text.hidden_size),
        **({} if by_highest_id else {"pool_type": "eos", "eos_id": text.eos_token_id}),
    }
    _end_token(CLIPTextCfg(**text_cfg), tokenizer, source)
    return {
        "embed_dim": config.projection_dim,
        "quick_gelu": _QUICK_GELU[vision.hidden_act],
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.hidden_size,
            "layers": vision.num_hidden_layers,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "mlp_ratio": _ratio(vision.intermediate_size, vision.hidden_size),
        },
        "text_cfg": text_cfg,
    }


def _misfits_in_open_clip(model_config: Mapping[str, Any]) -> list[str]:
    """Return the settings that ``CLIPModel`` has no place for: all that are set, not empty and not known."""
    misfits = [f"{name} {value!r}" for name, value in model_config.items() if name not in _MODEL and value]
    for part, kind, known in (("vision_cfg", CLIPVisionCfg, _VISION), ("text_cfg", CLIPTextCfg, _TEXT)):
        defaults = {field.name: field.default for field in dataclasses.fields(kind)}
        misfits += [
            f"{part}.{name} {value!r}"
            for name, value in model_config[part].items()
            if name not in known and value != defaults.get(name)
        ]
    vision, pooling = model_config["vision_cfg"], model_config["text_cfg"].get("pool_type", "argmax")
    # a list of layers is a ResNet; pictures and patches are square
    whole = ("layers", "image_size", "patch_size")
    misfits += [f"vision_cfg.{name} {vision[name]!r}" for name in whole if type(vision.get(name, 0)) is not int]
    return misfits if pooling in _POOLINGS else [*misfits, f"text_cfg.pool_type {pooling!r}"]


def _misfits_in_clip_model(config: CLIPConfig) -> list[str]:
    vision, text = config.vision_config, config.text_config
    wanted = {
        "projection_dim": config.projection_dim,
        "hidden_act": vision.hidden_act if vision.hidden_act in _QUICK_GELU else "gelu",
        "layer_norm_eps": 1e-5,
        "attention_dropout": 0,
        "num_channels": 3,
    }
    given = [
        (part, name, getattr(part, name, value), value) for part in (vision, text) for name, value in wanted.items()
    ]
    misfits = [f"{part.base_config_key}.{name} {value!r}" for part, name, value, fits in given if value != fits]
    sizes = {name: getattr(vision, name) for name in ("image_size", "patch_size")}
    return misfits + [f"vision_config.{name} {size!r}" for name, size in sizes.items() if type(size) is not int]


def _end_token(text: CLIPTextCfg, tokenizer: Any, source: Path) -> int:
    """Return the token that a text ends with, at which open_clip and ``CLIPModel`` are both to pool."""
    end = int(tokenizer.eos_token_id)
    pooled = max(tokenizer.get_vocab().values()) if text.pool_type == "argmax" else text.eos_id
    if end != pooled or end == _LEGACY_END:
        raise WeightsError(
            source,
            f"the text is pooled at token {pooled}, but the tokenizer's end token is {end}",
            "Give the model with its own tokenizer",
        )
    return end


def _ratio(inner: int, width: int) -> float:
    """Return the ratio from which open_clip, which rounds down, makes an MLP of this inner width."""
    return inner / width if int(width * (inner / width)) == inner else (inner + 0.5) / width
