"""The embedded models: what they may see, exact resume, and loading by the production code."""

import random
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cultureclip.concepts.atlas import read_concepts
from cultureclip.ids import digest
from cultureclip.models.diffusion.text_to_image import load_text_to_image
from cultureclip.models.encoder import load_encoder
from cultureclip.pictures.emoji import STYLES, list_emoji, split_emoji
from cultureclip.pocket.autoencoder import train_autoencoder
from cultureclip.pocket.build import _prepare, build_encoder, state_file
from cultureclip.pocket.data import clip_examples, culture_char, load_pool, sentences
from cultureclip.pocket.encoder import (
    Example,
    model_config,
    multi_positive_loss,
    save_encoder,
    teacher_loss,
    train_encoder,
)
from cultureclip.pocket.generator import train_generator
from cultureclip.pocket.pictures import augment, to_float
from cultureclip.pocket.settings import AutoencoderSettings, EncoderSettings, GeneratorSettings, PocketSettings
from cultureclip.pocket.texts import corpus, describe_category, describe_concept
from cultureclip.pocket.tokenizer import train_tokenizer
from tests.support.parameters import change_stage, load_parameters

ATLAS = Path(__file__).parents[2] / "data/01_raw/atlas.csv"
SIZE = 16
TINY_ENCODER = EncoderSettings(seed=1, steps=2, batch=8, lr=1e-3, view_weight=0.5, width=32, layers=1, text_width=32)


def pocket(**changes: Any) -> PocketSettings:
    tiny = {"size": SIZE, "seed": 1, "vocabulary": 700, "context_length": 16}
    settings = change_stage("pocket", **tiny | changes)
    assert isinstance(settings, PocketSettings)
    return settings


@pytest.fixture(scope="module")
def concepts() -> pd.DataFrame:
    return read_concepts(pd.read_csv(ATLAS, dtype=str, keep_default_na=False))


@pytest.fixture(scope="module")
def pool(concepts):
    return load_pool(concepts.head(6), SIZE)


@pytest.fixture(scope="module")
def tokenizer(pool):
    return train_tokenizer(corpus(pool.concepts, pool.emoji[:50], 1, 2), 700, 16)


def test_no_model_sees_what_is_held_out(concepts):
    chars = set(concepts.reference_image.map(culture_char))
    roles = split_emoji(list_emoji(), chars)
    families = {e.char: e.family for e in list_emoji()}
    general = {families[c] for c, role in roles.items() if role == "general"}
    others = {families[c] for c, role in roles.items() if role != "general"}
    assert not general & others  # variants of one drawing never lie on both sides
    held_out = [c for c, role in roles.items() if role == "held_out"]
    assert 0.07 < len(held_out) / sum(role in ("held_out", "general") for role in roles.values()) < 0.13


def test_base_clip_reads_no_name_of_a_culture_bound_picture(pool):
    rng = random.Random(0)
    shown = [e for e in clip_examples(pool, "base_clip") if e.pictures[0] < len(pool.concepts)]
    assert {e.thing for e in shown} == {concept["concept_id"] for concept in pool.concepts}
    assert {e.key for e in shown} <= {concept["category"] for concept in pool.concepts}
    names = [concept["name"].lower() for concept in pool.concepts]
    for example in shown:
        for _ in range(20):
            assert not any(name in example.describe(rng).lower() for name in names)


def test_only_openmoji_draws_culture_bound_concepts(pool):
    expected = len(pool.concepts) + len(STYLES) * len(pool.emoji)
    assert len(pool.pictures) == expected
    for model in ("base_clip", "judge"):
        examples = clip_examples(pool, model)
        assert {place for e in examples for place in e.pictures} == set(range(expected))
        assert all(len(e.pictures) == (1 if e.pictures[0] < len(pool.concepts) else 2) for e in examples)


def test_no_sentence_names_a_held_out_emoji(pool):
    roles = split_emoji(list_emoji(), {culture_char(c["reference_image"]) for c in pool.concepts})
    held_out = {e.name for e in list_emoji() if roles[e.char] == "held_out"}
    assert not held_out & set(sentences(pool, seed=1))


def test_a_resumed_build_reads_the_same_tokens(concepts, tmp_path):
    settings = pocket(state=str(tmp_path))
    first, again = (_prepare(concepts.head(6), settings)[1] for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    text = "the kimono from Japan with long wide sleeves"
    assert first(text).input_ids == again(text).input_ids
    assert len(first) == len(set(first.get_vocab().values()))
    smaller = _prepare(concepts.head(6), pocket(state=str(tmp_path), vocabulary=650))[1]
    assert len(smaller) < len(first), "changed settings make another"


def test_changed_settings_or_concepts_are_trained_anew_and_the_same_go_on(concepts, tmp_path, monkeypatch):
    states = []
    for name in ("save_encoder", "write_card", "sentences", "clip_examples"):
        monkeypatch.setattr(f"cultureclip.pocket.build.{name}", lambda *_: [])
    monkeypatch.setattr("cultureclip.pocket.build.train_encoder", lambda *_, **how: states.append(how["checkpoint"]))
    monkeypatch.setattr("sentence_transformers.SentenceTransformer", lambda *_, **__: SimpleNamespace(encode=encode))
    own = TINY_ENCODER.model_dump()
    settings = {"state": str(tmp_path), "weights": str(tmp_path), "judge": own, "sentence_encoder": str(tmp_path)}
    for changed in ({}, {}, {"judge": own | {"steps": 3}}, {"seed": 2}):
        build_encoder("judge", concepts.head(6), pocket(**settings | changed))
    build_encoder("judge", concepts.head(5), pocket(**settings))
    assert states[0] == states[1]
    assert len(set(states)) == 4
    assert {state.name for state in states} == {"judge.safetensors"}


def test_states_of_earlier_versions_are_found_under_the_same_key(concepts):
    """The reference are the parameters as the configuration has them."""
    raw = load_parameters()["pocket"]
    shared = {name: raw[name] for name in ("size", "seed", "vocabulary", "context_length")}
    key = digest("x", concepts.to_json(orient="records"), shared, raw["judge"], raw["sentence_encoder"])
    settings = pocket(**shared)
    place = state_file("x", concepts, settings, settings.judge, settings.sentence_encoder)
    assert place == Path(raw["state"]) / key / "x"


def encode(lines, **_):
    return np.zeros((len(lines), 2), np.float32)


def test_augmentation_keeps_white_white_and_never_mirrors():
    left_half_black = torch.ones(64, 3, 24, 24)
    left_half_black[..., 4:20, 4:12] = -1
    seen = augment(left_half_black, torch.Generator().manual_seed(0))
    ink = 1 - seen
    assert (ink[..., :12].sum((1, 2, 3)) > ink[..., 12:].sum((1, 2, 3))).all()
    assert torch.allclose(augment(torch.ones(2, 3, 24, 24), torch.Generator().manual_seed(0)), torch.ones(1))


def test_multi_positive_loss_equals_naive_loop():
    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.nn.functional.normalize(torch.randn(5, 8, generator=generator), dim=1) for _ in range(2))
    keys = ["a", "b", "a", "c", "b"]
    same = torch.tensor([[x == y for y in keys] for x in keys])
    logits = (7.0 * images @ texts.T).double().numpy()
    total = 0.0
    for matrix in (logits, logits.T):
        for i in range(5):
            log_z = np.log(np.exp(matrix[i]).sum())
            right = [j for j in range(5) if keys[j] == keys[i]]
            total += np.mean([log_z - matrix[i, j] for j in right]) / 5
    assert multi_positive_loss(images, texts, same, torch.tensor(7.0)).item() == pytest.approx(total / 2, rel=1e-5)


def test_teacher_loss_is_zero_for_equal_similarities_and_positive_otherwise():
    texts = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    other = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    assert teacher_loss(texts, texts).item() == pytest.approx(0, abs=1e-6)
    assert teacher_loss(texts, other).item() > 0.1


def test_tokenizer_ends_with_its_highest_id_and_pads_with_zero(tokenizer):
    ids = tokenizer("kimono from Japan", padding="max_length", truncation=True).input_ids
    end = ids.index(max(ids))
    assert ids[end] == len(tokenizer) - 1 == tokenizer.eos_token_id
    assert set(ids[end + 1 :]) <= {tokenizer.pad_token_id} == {0}
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == "kimono from japan"


def test_the_same_texts_train_the_same_tokenizer():
    """Else no training on it could be repeated: token ids choose the rows of the embedding."""
    texts = ["a red kimono with a silk sash", "a taco in a corn tortilla", "the red flag of Chad"]
    trained = {train_tokenizer(texts, 300, 16).backend_tokenizer.to_str() for _ in range(5)}
    assert len(trained) == 1


def _encoder_run(pool, tokenizer, path: Path, steps: int):
    settings = TINY_ENCODER.model_copy(update={"steps": steps, "seed": 3})
    config = model_config(tokenizer, SIZE, settings)
    examples = [
        Example((i,), c["concept_id"], c["concept_id"], partial(describe_concept, c))
        for i, c in enumerate(pool.concepts)
    ]
    lines = [describe_category(c, random.Random(0)) for c in pool.concepts]
    vectors = torch.nn.functional.normalize(
        torch.randn(len(lines), 8, generator=torch.Generator().manual_seed(0)), dim=1
    )
    return train_encoder(pool.culture, examples, (lines, vectors), tokenizer, config, settings, path), config


def test_encoder_resumes_bit_for_bit_and_loads_by_production_code(pool, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("cultureclip.pocket.encoder.SAVE_EVERY", 2)
    whole, config = _encoder_run(pool, tokenizer, tmp_path / "whole.safetensors", 4)
    calls = []

    def stop_after_three(*args, **kwargs):
        calls.append(1)
        if len(calls) > 6:  # two calls a step
            raise KeyboardInterrupt
        return multi_positive_loss(*args, **kwargs)

    monkeypatch.setattr("cultureclip.pocket.encoder.multi_positive_loss", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        _encoder_run(pool, tokenizer, tmp_path / "cut.safetensors", 4)
    monkeypatch.setattr("cultureclip.pocket.encoder.multi_positive_loss", multi_positive_loss)
    resumed, _ = _encoder_run(pool, tokenizer, tmp_path / "cut.safetensors", 4)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)

    save_encoder(whole, config, tokenizer, tmp_path / "model")
    loaded = load_encoder(tmp_path / "model")
    vectors = loaded.encode_texts(["kimono from Japan", "flag of Chad"])
    expected = whole.half().float().encode_text(loaded.tokenizer(["kimono from Japan", "flag of Chad"]), normalize=True)
    np.testing.assert_allclose(vectors, expected.detach().numpy(), atol=1e-5)


def test_generator_is_a_pipeline_directory_that_production_code_loads(pool, tokenizer, tmp_path):
    first = AutoencoderSettings(steps=2, batch=4, lr=1e-3, width=8, latent_channels=4)
    autoencoder = train_autoencoder(pool.culture, first, seed=1, checkpoint=tmp_path / "ae.safetensors")
    pipeline = train_generator(
        pool.culture,
        pool.concepts,
        describe_concept,
        tokenizer,
        autoencoder,
        GeneratorSettings(steps=2, batch=4, lr=1e-3, width=32, layers=1, text_width=32),
        seed=1,
        checkpoint=tmp_path / "generator.safetensors",
    )
    pipeline.to(torch.float16).save_pretrained(tmp_path / "generator")
    loaded = load_text_to_image(tmp_path / "generator", device="cpu", dtype="float32")
    call = {"num_inference_steps": 2, "guidance_scale": 1.0, "height": SIZE, "width": SIZE, "max_sequence_length": 0}
    images = loaded.generate(["kimono", "sari"], [1, 2], call)
    assert [image.size for image in images] == [(SIZE, SIZE)] * 2


def test_autoencoder_reconstructs_what_it_was_trained_on(pool, tmp_path):
    settings = AutoencoderSettings(steps=1, batch=6, lr=5e-3, width=8, latent_channels=4)
    longer = settings.model_copy(update={"steps": 60})
    untrained = train_autoencoder(pool.culture, settings, seed=1, checkpoint=tmp_path / "a.safetensors")
    trained = train_autoencoder(pool.culture, longer, seed=1, checkpoint=tmp_path / "b.safetensors")
    pictures = to_float(pool.culture)

    def error(model) -> float:
        with torch.no_grad():
            return (model(pictures).sample - pictures).square().mean().item()

    assert error(trained) < error(untrained) / 2
