"""Build the directory of pocket's vision-language judge from the concepts table, the CLIP judge and the generator."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerBase

from cultureclip.concepts.looks import choose_representatives
from cultureclip.models.diffusion import diffusers_files
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.pictures.emoji import STYLES
from cultureclip.pocket.build import state_file, write_card
from cultureclip.pocket.data import Pool, culture_char, load_pool
from cultureclip.pocket.measure import ALIKE_TOLERANCE
from cultureclip.pocket.pictures import augment, render_all, to_float
from cultureclip.pocket.settings import PocketSettings
from cultureclip.pocket.vision_judge.drawn import draw_concepts
from cultureclip.pocket.vision_judge.model import COMPARED, Towers, build_model, fit_comparison, lengthen
from cultureclip.pocket.vision_judge.processing import build_processor
from cultureclip.pocket.vision_judge.questions import (
    Questions,
    Thing,
    concept_things,
    emoji_things,
    find_look_alikes,
    word_question,
)
from cultureclip.pocket.vision_judge.training import train_vision_judge
from cultureclip.settings_base import Settings

_FIT_PAIRS, _FIT_BATCH = 4096, 64
LONGEST_QUESTION = 512
"""Most tokens of a question with its answer."""


def build_vision_judge(concepts: pd.DataFrame, settings: PocketSettings) -> dict[str, Any]:
    """Train the vision-language judge, write its directory in fp16 and return its card.

    Args:
        concepts: Table of concepts with a drawing each.
        settings: Settings of the shipped models; the CLIP judge and the generator are read from ``weights``.
    """
    own, weights = settings.vision_judge, Path(settings.weights)
    things = list_things(concepts, settings, own.drawn, own.seed)
    torch.manual_seed(own.seed)
    towers = Towers.read(weights / "judge")
    vision = towers.config["vision_cfg"]
    processor = build_processor(weights / "judge", vision["image_size"], vision["patch_size"])
    encoder = load_encoder(weights / "judge")
    sources: list[Settings | str] = [
        own,
        fingerprint(weights / "judge"),
        diffusers_files.fingerprint(weights / "generator"),
    ]
    pictures = embed_drawings(things, encoder)
    questions = Questions(things, find_look_alikes(pictures, things), [i for i, t in enumerate(things) if not t.unseen])
    directions = choose_directions(pictures, encoder.encode_texts([thing.names[0] for thing in things]))
    model = build_model(towers, processor.tokenizer, directions, own.blocks)
    first = towers.config["text_cfg"]["layers"]
    fit_comparison(model, towers, *_fit_pairs(model, processor.tokenizer, questions, first, own.seed))
    checkpoint = state_file("vision_judge.safetensors", concepts, settings, *sources)
    train_vision_judge(model, processor.tokenizer, questions, first, own, checkpoint)
    lengthen(model, towers.image_tokens + LONGEST_QUESTION)
    folder = weights / "vision_judge"
    model.to(torch.float16).save_pretrained(folder)
    processor.save_pretrained(folder)
    seen = {"things": len(questions.cultural) + len(questions.general), "unseen": sum(t.unseen for t in things)}
    return write_card(folder, "vision_judge", own.model_dump(), seen)


def list_things(concepts: pd.DataFrame, settings: PocketSettings, drawn: int, seed: int) -> list[Thing]:
    """Return everything that may be shown and asked about: the concepts, then the general emoji.

    A concept's pictures are its drawing and ``drawn`` pictures by the generator, an emoji's its two drawings.
    """
    pool = load_pool(concepts, settings.size)
    generator = Path(settings.weights) / "generator"
    kept = state_file(
        f"drawn_{seed}.safetensors", concepts, settings, diffusers_files.fingerprint(generator), str(drawn)
    )
    generated = draw_concepts(pool.concepts, generator, settings.call, drawn, seed, kept)
    shown = [torch.cat([pool.culture[i : i + 1], generated[i]]) for i in range(len(pool.concepts))]
    general = pool.general.unflatten(0, (len(STYLES), len(pool.emoji))).transpose(0, 1)
    return concept_things(pool.concepts, shown, _drawn_like(pool, settings.size)) + emoji_things(pool.emoji, general)


def _drawn_like(pool: Pool, size: int) -> list[str]:
    chars = [culture_char(row["reference_image"]) for row in pool.concepts]
    drawings = [render_all(chars, style, size).permute(0, 2, 3, 1).numpy() for style in STYLES]
    return choose_representatives(pd.DataFrame(pool.concepts), drawings, ALIKE_TOLERANCE)


def embed_drawings(things: list[Thing], encoder: ImageTextEncoder) -> np.ndarray:
    """Return the L2-normalised embeddings of the things' drawings, float32 [N, D]."""
    return encoder.encode_images([Image.fromarray(t.pictures[0].permute(1, 2, 0).numpy()) for t in things])


def choose_directions(pictures: np.ndarray, texts: np.ndarray) -> Tensor:
    """Return the orthonormal directions [COMPARED, D] in which embeddings of pictures and texts [N, D] vary most."""
    stacked = np.concatenate([pictures - pictures.mean(0), texts - texts.mean(0)])
    return torch.from_numpy(np.linalg.svd(stacked, full_matrices=False)[2][:COMPARED].astype(np.float32))


@torch.inference_mode()
def _fit_pairs(
    model: LlavaForConditionalGeneration,
    tokenizer: PreTrainedTokenizerBase,
    questions: Questions,
    first: int,
    seed: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for pictures with a question about themselves or a look-alike, the inputs of ``fit_comparison``."""
    draw, rng = torch.Generator().manual_seed(seed), random.Random(seed)
    shown = [questions.draw_shown(rng) for _ in range(_FIT_PAIRS)]
    right = torch.tensor([rng.random() < 0.5 for _ in shown])
    asked = [i if same else questions.draw_asked(i, rng)[2] for i, same in zip(shown, right.tolist(), strict=True)]
    texts = [word_question(questions.things[j], rng) for j in asked]
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    tokens = [[start, *ids, end] for ids in tokenizer(texts, add_special_tokens=False).input_ids]
    length = max(map(len, tokens))
    padded = torch.tensor([[*ids, *[tokenizer.pad_token_id] * (length - len(ids))] for ids in tokens])
    pictures = torch.stack([rng.choice(questions.things[i].pictures) for i in shown])
    pixels = augment(to_float(pictures), draw, zoom=0.2, shift=0.08, degrees=10, colour=0.15)
    language = model.model.language_model
    states = []
    for rows in torch.arange(_FIT_PAIRS).split(_FIT_BATCH):
        image = torch.stack(tuple(model.model.get_image_features(pixels[rows]).pooler_output))
        embeds = torch.cat([image, language.wte(padded[rows])], 1)
        states.append(language(inputs_embeds=embeds, output_hidden_states=True).hidden_states[first])
    ends = torch.tensor([len(ids) - 1 for ids in tokens]) + (states[0].shape[1] - length)
    return torch.cat(states), ends, right
