"""Build the three shipped model directories from the concepts table, each with a card."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from transformers import CLIPTokenizer

from cultureclip.engine.atomic import replacing
from cultureclip.ids import digest
from cultureclip.models.weights.locate import locate
from cultureclip.pocket.autoencoder import train_autoencoder
from cultureclip.pocket.data import Pool, clip_examples, load_pool, sentences
from cultureclip.pocket.encoder import model_config, save_encoder, train_encoder
from cultureclip.pocket.generator import train_generator
from cultureclip.pocket.settings import PocketSettings
from cultureclip.pocket.texts import corpus, describe_concept
from cultureclip.pocket.tokenizer import train_tokenizer
from cultureclip.settings_base import Settings

EncoderName = Literal["base_clip", "judge"]
CARD_NAME = "card.json"
LICENCE = "CC-BY-SA-4.0"
ATTRIBUTION = (
    "Trained on OpenMoji (CC BY-SA 4.0) and Twemoji (CC BY 4.0) drawings; OpenMoji's licence reaches the weights."
)
_SHARED = {"size", "seed", "vocabulary", "context_length"}
"""Settings of all models."""


def state_file(name: str, concepts: pd.DataFrame, settings: PocketSettings, *own: Settings | str) -> Path:
    """Name the file of a training's state under the key of its inputs, so that any change starts another training.

    Args:
        name: Name of the file.
        concepts: Table of concepts.
        settings: Settings of all models.
        own: Inputs of this training alone.
    """
    shared = settings.model_dump(include=_SHARED)
    key = digest(name, concepts.to_json(orient="records"), shared, *(_plain(part) for part in own))
    return Path(settings.state) / key / name


def _plain(part: Settings | str) -> Any:
    return part.model_dump() if isinstance(part, Settings) else part


@cache
def _pool(concepts_json: str, size: int) -> Pool:
    return load_pool(pd.DataFrame(json.loads(concepts_json)), size)


def _prepare(concepts: pd.DataFrame, settings: PocketSettings) -> tuple[Pool, CLIPTokenizer]:
    """Return what may be seen, and the tokenizer: trained once and kept beside the training states.

    The trainer of ``tokenizers`` breaks ties by the order of a hash map: a second training numbers the tokens
    differently, and a resumed model would read other words.
    """
    pool = _pool(concepts.to_json(orient="records"), settings.size)
    kept = state_file("tokenizer", concepts, settings)
    if not kept.exists():
        lines = corpus(pool.concepts, pool.emoji, settings.seed, rounds=6)
        with replacing(kept) as temporary:
            train_tokenizer(lines, settings.vocabulary, settings.context_length).save_pretrained(temporary)
    return pool, CLIPTokenizer.from_pretrained(kept)


def build_encoder(name: EncoderName, concepts: pd.DataFrame, settings: PocketSettings) -> dict[str, Any]:
    """Train ``base_clip`` or ``judge``, write its directory and return its card."""
    from sentence_transformers import SentenceTransformer

    pool, tokenizer = _prepare(concepts, settings)
    lines = sentences(pool, settings.seed)
    teacher = SentenceTransformer(str(locate(settings.sentence_encoder)), device="cpu")
    vectors = teacher.encode(lines, batch_size=128, normalize_embeddings=True, show_progress_bar=True)
    own = settings.judge if name == "judge" else settings.base_clip
    config = model_config(tokenizer, settings.size, own)
    examples = clip_examples(pool, name)
    model = train_encoder(
        pool.pictures,
        examples,
        (lines, torch.from_numpy(vectors)),
        tokenizer,
        config,
        own,
        checkpoint=state_file(f"{name}.safetensors", concepts, settings, own, settings.sentence_encoder),
    )
    folder = Path(settings.weights) / name
    save_encoder(model, config, tokenizer, folder)
    seen = {"pictures": len(pool.pictures), "examples": len(examples), "sentences": len(lines)}
    return write_card(folder, name, own.model_dump(), seen)


def build_generator(concepts: pd.DataFrame, settings: PocketSettings) -> dict[str, Any]:
    """Train the autoencoder, then the transformer; write the diffusers directory in fp16 and return its card."""
    pool, tokenizer = _prepare(concepts, settings)
    first, own = settings.autoencoder, settings.generator
    drawings = torch.cat([pool.culture, pool.culture, pool.general[: len(pool.emoji)]])  # OpenMoji only
    autoencoder = train_autoencoder(
        drawings,
        first,
        seed=settings.seed,
        checkpoint=state_file("autoencoder.safetensors", concepts, settings, first),
    )
    pipeline = train_generator(
        pool.culture,
        pool.concepts,
        describe_concept,
        tokenizer,
        autoencoder,
        own,
        seed=settings.seed,
        checkpoint=state_file("generator.safetensors", concepts, settings, first, own),
    )
    folder = Path(settings.weights) / "generator"
    pipeline.to(torch.float16).save_pretrained(folder)
    seen = {"pictures": len(pool.culture), "autoencoder_pictures": len(pool.culture) + len(pool.emoji)}
    return write_card(folder, "generator", {"autoencoder": first.model_dump(), **own.model_dump()}, seen)


def write_card(folder: Path, name: str, settings: dict[str, Any], data: dict[str, int]) -> dict[str, Any]:
    """Write and return ``card.json``: the model's description, its data, settings and code."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S607
    weights = sorted(folder.rglob("*.safetensors"))
    card = {
        "name": name,
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "data": data,
        "never_seen": "culture-bound Twemoji drawings, their variants, and the held-out tenth of the general emoji",
        "settings": settings,
        "commit": commit or None,
        "torch": torch.__version__,
        "bytes": sum(path.stat().st_size for path in weights),
    }
    (folder / CARD_NAME).write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card
