"""Adapters, between a checkpoint of this package and PEFT's format for Hugging Face's ``CLIPModel``.

PEFT's LoRA has no place for the temperature, which is not a layer. The weights file has it under its own name,
from which ``PeftModel.from_pretrained`` sets ``logit_scale``; PEFT does not save it again.
"""

import json
import re
import shutil
from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from typing import Any, get_args

from open_clip.model import CLIP
from pydantic import ValidationError

from cultureclip.clip.contracts import ADAPTER_NAME, CARD_NAME, AdapterCard, Checkpoint
from cultureclip.clip.export.checkpoint import read_card, read_weights, save_checkpoint
from cultureclip.clip.export.hf_names import layer_name
from cultureclip.clip.lora.adapter import TEMPERATURE, LoraAdapter
from cultureclip.clip.lora.sites import find_blocks
from cultureclip.clip.settings import LoraSettings, Target, Tower
from cultureclip.engine.folders import building
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.encoder import load_encoder
from cultureclip.models.weights.checkpoint import save_atomically
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_FACTORS = {"a": "lora_A.weight", "b": "lora_B.weight"}
_SITE = re.compile(r"(vision|text)_model\.encoder\.layers\.(\d+)\.(?:self_attn|mlp)\.(\w+)\.lora_[AB]\.weight")
_TOWERS: dict[str, Tower] = {"vision": "image", "text": "text"}
_TARGETS: dict[str, Target] = {
    **{"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "out"},
    **{"fc1": "mlp", "fc2": "mlp"},
}
_READ = {"peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora"}
_OF_NO_EFFECT = {  # on what a trained adapter computes: its tensors say which modules it sits on
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "peft_version", "revision", "task_type"),
    *("target_modules", "exclude_modules", "layers_pattern", "layers_to_transform"),
    *("megatron_core", "qalora_group_size", "runtime_config", "ensure_weight_tying"),
}
_PLAIN = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian")}


def to_peft(source: Path, destination: Path) -> None:
    """Write a checkpoint's adapter as a folder for ``PeftModel.from_pretrained(clip_model, folder)``.

    The whole update, as :func:`load_adapter` gives it: the card's ``update_scale`` is for the merged model only. The
    card is copied along.

    Args:
        source: Directory of a checkpoint on an open_clip base.
        destination: Must not exist.

    Raises:
        WeightsError: if it is not a checkpoint, or ``CLIPModel`` cannot represent its base.
        StorageError: if the destination exists.
    """
    card, state = read_card(source / CARD_NAME), read_weights(source / ADAPTER_NAME)
    tensors = {_peft_name(name, source): tensor for name, tensor in state.items()}
    modules = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in tensors if ".lora_" in name}
    config = {
        "peft_type": "LORA",
        "r": card.lora.rank,
        "lora_alpha": card.lora.alpha,
        "lora_dropout": card.lora.dropout,
        "target_modules": sorted(modules),
        "bias": "none",
        "inference_mode": True,
    }
    with building(destination) as folder:
        save_atomically(tensors, folder / WEIGHTS_NAME, {"format": "pt"})
        (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        shutil.copyfile(source / CARD_NAME, folder / CARD_NAME)


def from_peft(source: Path, base: Path, destination: Path) -> None:
    """Write a PEFT adapter of a ``CLIPModel`` as a checkpoint, merged model and all.

    Its card cannot say how it was trained: the objective is ``peft``, the seed and the step 0.

    Args:
        source: Folder that ``PeftModel.save_pretrained`` wrote.
        base: Directory of the open_clip model that corresponds to the adapter's ``CLIPModel``.
        destination: Must not exist.

    Raises:
        WeightsError: if the folder holds no LoRA adapter of a ``CLIPModel``, or one that :class:`LoraSettings` cannot
            describe, or the base has other blocks.
        StorageError: if the destination exists.
    """
    config, given = _read_config(source), read_weights(source / WEIGHTS_NAME)
    encoder = load_encoder(base)
    try:
        lora = LoraSettings(
            rank=config["r"],
            alpha=config["lora_alpha"] * (sqrt(config["r"]) if config.get("use_rslora") else 1),
            dropout=config.get("lora_dropout", 0.0),
            train_temperature=_PREFIX + TEMPERATURE in given,
            **_sites(given, encoder.model),
        )
        adapter = LoraAdapter(encoder.model, lora)
    except (ValidationError, ConfigurationError, KeyError, TypeError) as error:
        raise WeightsError(
            source, f"does not fit the base {base} ({error})", "Name the base it was trained on"
        ) from error
    names = {name: _peft_name(name, base) for name in adapter.state()}
    if strange := sorted(set(names.values()) ^ set(given)):
        raise WeightsError(
            source,
            f"not the same layers in every adapted block of the base {base}, beginning with {strange[0]}",
            "Name the base it was trained on, or merge it in PEFT and convert the model",
        )
    adapter.load({name: given[peft_name].float() for name, peft_name in names.items()})
    card = AdapterCard(
        layout=adapter.layout,
        base=str(base),
        base_fingerprint=encoder.fingerprint,
        objective="peft",
        seed=0,
        lora=lora,
        parameters=adapter.size(),
        step=0,
        selected_by="peft",
        training_key="",
    )
    save_checkpoint(Checkpoint(adapter.state(), card, base), destination)


def _peft_name(name: str, source: Path) -> str:
    """Return PEFT's name of one of an adapter's tensors."""
    if name == TEMPERATURE:
        return _PREFIX + TEMPERATURE
    site, _, factor = name.rpartition(".")
    layer = layer_name(site)
    if layer is None:
        raise WeightsError(source, f"CLIPModel has no layer like {site}", "Use the merged open_clip directory")
    return f"{_PREFIX}{layer}.{_FACTORS[factor]}"


def _read_config(source: Path) -> dict[str, Any]:
    path = source / CONFIG_NAME
    try:
        config = read_object(path)
    except (OSError, RefusedError) as error:
        raise WeightsError(path, f"not a PEFT adapter's config ({error})", "Save it with save_pretrained") from error
    strange = [
        f"{key} {value!r}"
        for key, value in config.items()
        if key not in _READ | _OF_NO_EFFECT and value and value not in _PLAIN.get(key, ())
    ]
    if config.get("peft_type") != "LORA" or strange:
        raise WeightsError(
            path,
            f"not plain LoRA: {', '.join(strange) or config.get('peft_type')}",
            "Merge it in PEFT and convert the model",
        )
    return config


def _sites(names: Iterable[str], model: CLIP) -> dict[str, Any]:
    """Return which targets, towers and last blocks an adapter of these tensors sits on, as settings."""
    found = [match.groups() for name in names if (match := _SITE.fullmatch(name.removeprefix(_PREFIX)))]
    first: dict[Tower, int] = {}
    for part, number, _ in found:
        first[_TOWERS[part]] = min(int(number), first.get(_TOWERS[part], int(number)))
    depths = {tower: len(find_blocks(model, tower, None)) for tower in first}
    adapted = {tower: depths[tower] - first[tower] for tower in first}
    targets = {_TARGETS.get(layer) for _, _, layer in found}
    return {
        "targets": tuple(target for target in get_args(Target) if target in targets),
        "towers": tuple(tower for tower in get_args(Tower) if tower in first),
        "last_blocks": None if adapted == depths else min(adapted.values()),
    }
