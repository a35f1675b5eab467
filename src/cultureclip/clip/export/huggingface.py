"""Whole models, between open_clip's directories and Hugging Face's ``CLIPModel`` with ``CLIPProcessor``."""

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from safetensors import SafetensorError
from transformers import AutoConfig, CLIPConfig, CLIPModel, CLIPTokenizer

from cultureclip.clip.export.hf_config import check_fits_clip_model, to_clip_config, to_open_clip_config
from cultureclip.clip.export.hf_names import from_clip_model, to_clip_model
from cultureclip.clip.export.hf_processing import from_image_processor, load_tokenizer, to_image_processor, to_tokenizer
from cultureclip.engine.folders import building
from cultureclip.errors import WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from cultureclip.models.finite import check_finite
from cultureclip.models.weights.checkpoint import save_atomically
from cultureclip.models.weights.config_files import check_json
from cultureclip.reading.json_text import read_object


def to_huggingface(source: Path, destination: Path) -> None:
    """Write an open_clip directory as a folder that ``CLIPModel`` and ``CLIPProcessor`` load, in fp32.

    The same pixels and tokens give the same embeddings; :mod:`cultureclip.clip.export.hf_processing` says when pixels
    and tokens are the same.

    Args:
        source: Directory of an open_clip model, such as a checkpoint's ``merged``.
        destination: Must not exist.

    Raises:
        WeightsError: if the model cannot be loaded, or has parts that ``CLIPModel`` does not have.
        StorageError: if the destination exists.
    """
    with building(destination) as folder:
        model_config = _read_config(source)
        check_fits_clip_model(model_config, source)
        encoder = load_encoder(source)
        tokenizer = to_tokenizer(encoder.tokenizer, source)
        model = CLIPModel(to_clip_config(model_config, tokenizer, source))
        model.load_state_dict(to_clip_model(encoder.model.state_dict()))
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if isinstance(tokenizer, CLIPTokenizer):  # vocab.json and merges.txt, which transformers 4 reads
            tokenizer.backend_tokenizer.model.save(str(folder))
        to_image_processor(encoder.model.visual.preprocess_cfg, source).save_pretrained(folder)


def from_huggingface(source: Path, destination: Path) -> None:
    """Write a ``CLIPModel`` folder as an open_clip directory, in fp32.

    Args:
        source: Folder with a ``CLIPModel``'s config and safetensors and a ``CLIPProcessor``'s files.
        destination: Must not exist.

    Raises:
        WeightsError: if a file is missing or damaged, or the model has parts that open_clip's ``CLIP`` does not have.
        StorageError: if the destination exists.
    """
    with building(destination) as folder:
        check_json(source)
        model, tokenizer = _load_clip_model(source), load_tokenizer(source)
        config = to_open_clip_config(model.config, tokenizer, source)
        preprocess = from_image_processor(source, config["vision_cfg"]["image_size"])
        with torch.device("meta"):
            names = list(CLIP(**config).state_dict())
        tokenizer.save_pretrained(folder)
        described = {"model_cfg": config, "preprocess_cfg": preprocess}
        (folder / CONFIG_NAME).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        save_atomically(from_clip_model(model.state_dict(), names), folder / WEIGHTS_NAME)


def _read_config(source: Path) -> dict[str, Any]:
    path = source / CONFIG_NAME
    try:
        config = read_object(path)["model_cfg"]
        return {**config, "vision_cfg": dict(config["vision_cfg"]), "text_cfg": dict(config["text_cfg"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            path, f"not an open_clip config ({error!r})", "Give the directory of an open_clip model"
        ) from error


def _load_clip_model(source: Path) -> CLIPModel:
    try:
        config = AutoConfig.from_pretrained(source, local_files_only=True)
        if not isinstance(config, CLIPConfig):
            raise ValueError(f"its config is a {type(config).__name__}")
        model, report = CLIPModel.from_pretrained(
            source, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(source, f"no CLIPModel in safetensors ({error})", "Save it with save_pretrained") from error
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(source, f"{len(missing)} tensors are missing, {missing[0]} first", "Copy the folder again")
    check_finite(model.state_dict(), source)
    return model
