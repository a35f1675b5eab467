"""The vision-language judge: what it is built from, what it is taught, and what the shipped one can do."""

import io
import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from scipy.stats import kendalltau
from transformers import AutoProcessor, LlavaForConditionalGeneration

from cultureclip.concepts.atlas import read_concepts
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import digest
from cultureclip.judging.rating import CRITERIA, Ratings, refuse_by_ratings
from cultureclip.judging.settings import RatingRule
from cultureclip.judging.vision_language import rate_images, read_rating_prompt
from cultureclip.models.chat.request import Picture
from cultureclip.models.chat.structured import parse_answer
from cultureclip.models.diffusion.text_to_image import load_text_to_image
from cultureclip.models.encoder import load_encoder
from cultureclip.pocket.measure import measurement_prompt
from cultureclip.pocket.settings import VisionJudgeSettings
from cultureclip.pocket.vision_judge import training
from cultureclip.pocket.vision_judge.build import choose_directions
from cultureclip.pocket.vision_judge.damage import GRADES, TRAINED, UNTRAINED, damage
from cultureclip.pocket.vision_judge.expectation import expect_ratings
from cultureclip.pocket.vision_judge.measure import figures
from cultureclip.pocket.vision_judge.model import COMPARED, Towers, build_model, lengthen
from cultureclip.pocket.vision_judge.processing import build_processor
from cultureclip.pocket.vision_judge.questions import Questions, Thing, find_look_alikes, relate
from cultureclip.pocket.vision_judge.training import draw_batch, encode
from cultureclip.pocket.vision_judge.truth import Origin, Relation, Truth, answer_parts
from tests.judging.conftest import Album
from tests.support.parameters import change_stage

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"
ATLAS, PROMPT = ROOT / "data/01_raw/atlas.csv", ROOT / "conf/base/prompts/rating.yml"
TRUTHS = [
    Truth(relation, origin, name if grade else None, grade)
    for relation, origin in itertools.product(Relation, Origin)
    for name in TRAINED
    for grade in range(GRADES + 1)
]


def a_picture(seed: int = 0, size: int = 48) -> torch.Tensor:
    """A smooth picture on white, in [-1, 1]."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((size, size))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1) / 127.5 - 1


@pytest.mark.parametrize("name", [*TRAINED, *UNTRAINED])
def test_a_higher_grade_takes_more_of_the_picture(name):
    lost = []
    for seed in range(8):
        picture = a_picture(seed)
        for grade in range(1, GRADES + 1):
            damaged = damage(picture, name, grade, torch.Generator().manual_seed(seed))
            assert damaged.shape == picture.shape
            assert damaged.abs().max() <= 1
            lost.append((grade, (damaged - picture).abs().mean().item()))
    assert kendalltau(*zip(*lost, strict=True)).statistic > 0.5
    again = damage(a_picture(7), name, GRADES, torch.Generator().manual_seed(7))
    assert torch.equal(again, damaged)


@pytest.mark.parametrize("truth", TRUTHS, ids=str)
def test_every_answer_is_the_production_format(truth):
    value = parse_answer("".join(answer_parts(truth)), Ratings)
    assert tuple(getattr(value, name).rating for name in CRITERIA) == truth.ratings
    assert tuple(getattr(value, name).reason for name in CRITERIA) == truth.reasons


def test_the_published_rule_separates_what_the_truth_separates():
    """A clear or hardly damaged picture of the thing passes; a look-alike, another thing or a ruin does not."""
    for truth in TRUTHS:
        table = pd.DataFrame([truth.ratings], columns=list(CRITERIA)).astype(float)
        accepted = refuse_by_ratings(table, RatingRule()).isna().item()
        if truth.relation is Relation.SAME:
            assert accepted == (truth.grade <= 2), truth
        if truth.relation is not Relation.SAME and truth.origin is Origin.FOREIGN:
            assert not accepted, truth


@pytest.fixture(scope="module")
def parts() -> tuple[Towers, Any]:
    towers = Towers.read(WEIGHTS / "judge")
    vision = towers.config["vision_cfg"]
    return towers, build_processor(WEIGHTS / "judge", vision["image_size"], vision["patch_size"])


def test_an_answer_is_thirteen_tokens_and_reads_back(parts):
    tokenizer = parts[1].tokenizer
    for truth in TRUTHS:
        text = "".join(answer_parts(truth))
        tokens = tokenizer(text, add_special_tokens=False).input_ids
        assert len(tokens) == 13
        assert json.loads(tokenizer.decode(tokens)) == json.loads(text)


@pytest.fixture(scope="module")
def built(parts):
    towers, processor = parts
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(128, COMPARED)).Q.T.contiguous()
    return build_model(towers, processor.tokenizer, directions, blocks=1).eval()


@torch.inference_mode()
def test_the_model_holds_both_towers_of_the_judge(parts, built):
    """Below the trained blocks the question's end token has the text's embedding, and the picture the picture's."""
    towers, processor = parts
    encoder, state = load_encoder(WEIGHTS / "judge"), towers.state
    texts = ["kimono from Japan", "flag of Chad", "a bowl of soup from Vietnam with green leaves"]
    pictures = [Image.fromarray(((a_picture(s) + 1) * 127.5).byte().permute(1, 2, 0).numpy()) for s in range(3)]
    for text, picture in zip(texts, pictures, strict=True):
        chat = [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": text}]}]
        inputs = processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
        hidden = built(**inputs, output_hidden_states=True).hidden_states[3][0, -1, :128]
        normed = torch.nn.functional.layer_norm(hidden, (128,)) * state["ln_final.weight"] + state["ln_final.bias"]
        found = torch.nn.functional.normalize(normed @ state["text_projection"], dim=0)
        assert found @ torch.from_numpy(encoder.encode_texts([text])[0]) > 0.999
        seen = built.model.vision_tower(inputs["pixel_values"]).pooler_output @ state["visual.proj"]
        seen = torch.nn.functional.normalize(seen[0], dim=0)
        assert seen @ torch.from_numpy(encoder.encode_images([picture])[0]) > 0.9999


def test_a_long_question_fits(parts, built):
    lengthen(built, 37 + 512)
    chat = [{"role": "user", "content": [{"type": "image", "image": Image.new("RGB", (48, 48))}]}]
    chat[0]["content"].append({"type": "text", "text": "flag of São Tomé & Príncipe " * 15})
    inputs = parts[1].apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
    assert inputs["input_ids"].shape[1] > 150
    assert torch.isfinite(built(**inputs).logits).all()


def test_directions_are_orthonormal_and_keep_what_varies():
    rng = np.random.default_rng(0)
    few = rng.normal(size=(10, 128)).astype(np.float32)
    made = rng.normal(size=(300, 10)).astype(np.float32) @ few
    directions = choose_directions(made, made[:50])
    assert torch.allclose(directions @ directions.T, torch.eye(COMPARED), atol=1e-5)
    kept = torch.from_numpy(few) @ directions.T
    assert torch.allclose(kept.norm(dim=1), torch.from_numpy(few).norm(dim=1), rtol=1e-4)


def thing(name: str, *cultures: str, universal: str | None = "dress", like: str | None = None) -> Thing:
    return Thing((name,), cultures, universal, like or name, torch.zeros(2, 3, 48, 48, dtype=torch.uint8))


def test_the_truth_of_a_question():
    kimono, hanbok, sushi = thing("kimono", "JP"), thing("hanbok", "KR"), thing("sushi", "JP", universal="food")
    cat = thing("cat", universal=None)
    assert relate(kimono, kimono, alike=False).ratings == (5, 5, 5)
    assert relate(kimono, hanbok, alike=False).ratings == (5, 2, 1), "the same kind of thing of another culture"
    assert relate(kimono, sushi, alike=False).ratings == (5, 1, 3), "another thing of the same culture"
    assert relate(sushi, hanbok, alike=True).ratings == (5, 2, 1)
    assert relate(cat, kimono, alike=False).ratings == (5, 1, 2), "a thing of no culture"


def test_look_alikes_are_foreign_and_never_drawn_alike():
    things = [thing(f"flag {i}", c, like="same" if i < 2 else None) for i, c in enumerate(["TD", "RO", "ML", "ML"])]
    things += [thing("cat", universal=None), thing("dog", universal=None)]
    near = find_look_alikes(np.ones((6, 4), np.float32) / 2, things)
    assert near[0] == [2, 3]
    assert near[2] == [0, 1], "no compatriot"
    assert near[4] == [5]


def test_no_question_is_about_what_is_kept_out():
    things = [thing(f"thing {i}", code) for i, code in enumerate(["JP", "KR", "CN", "VN", "TH", "LA", "MY", "ID"])]
    things += [thing(f"general {i}", universal=None) for i in range(6)]
    allowed = [0, 1, 2, 3, 4, 8, 9, 10, 11]
    questions = Questions(things, find_look_alikes(np.eye(14, dtype=np.float32), things), allowed)
    rng = random.Random(0)
    for _ in range(200):
        shown = questions.draw_shown(rng)
        asked = questions.draw_asked(shown, rng)
        assert {shown, *asked} <= set(allowed)
        assert len(asked) == 6
        assert asked[:2] == [shown, shown]
        assert shown not in asked[2:]


def test_what_is_learned_is_the_next_token_of_the_answer(parts):
    tokenizer = parts[1].tokenizer
    truth = Truth(Relation.SAME, Origin.SAME)
    tokens, labels = encode(["kimono from Japan", "fez"], [truth, truth], tokenizer)
    for row, label in zip(tokens.tolist(), labels.tolist(), strict=True):
        known = [place for place, value in enumerate(label) if value != -100]
        assert known == list(range(known[0], known[0] + 14))
        assert [row[place + 1] for place in known[:-1]] == [label[place] for place in known[:-1]]
        assert row[known[0]] == tokenizer.eos_token_id, "the question's end token is answered"
        assert label[known[-1]] == tokenizer.eos_token_id


def test_a_training_that_was_cut_off_goes_on_exactly(parts, tmp_path, monkeypatch):
    towers, processor = parts
    things = [thing(f"thing {i}", code) for i, code in enumerate(["JP", "KR", "CN", "VN", "TH"])]
    things += [thing(f"general {i}", universal=None) for i in range(5)]
    questions = Questions(things, find_look_alikes(np.eye(10, dtype=np.float32), things), range(10))
    how = {"seed": 0, "steps": 4, "batch": 2, "lr": 1e-3, "weight_decay": 0.1, "blocks": 1, "drawn": 1}
    settings = VisionJudgeSettings(**how)
    monkeypatch.setattr(training, "SAVE_EVERY", 1)

    def train(name: str) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        directions = torch.linalg.qr(torch.randn(128, COMPARED)).Q.T.contiguous()
        model = build_model(towers, processor.tokenizer, directions, blocks=1)
        training.train_vision_judge(model, processor.tokenizer, questions, 3, settings, tmp_path / name)
        return {name: tensor.clone() for name, tensor in training.Learner(model, 3).state_dict().items()}

    whole = train("whole.safetensors")
    drawn = training.draw_batch

    def cut_off(*arguments: Any) -> Any:
        if arguments[-1] == 2:
            raise KeyboardInterrupt
        return drawn(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "draw_batch", cut_off)
        with pytest.raises(KeyboardInterrupt):
            train("cut.safetensors")
    resumed = train("cut.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_batch_is_drawn_from_its_step_alone(parts):
    things = [thing(f"thing {i}", code) for i, code in enumerate(["JP", "KR", "CN", "VN", "TH"])]
    things += [thing(f"general {i}", universal=None) for i in range(5)]
    questions = Questions(things, find_look_alikes(np.eye(10, dtype=np.float32), things), range(10))
    settings = VisionJudgeSettings(seed=3, steps=9, batch=2, lr=1e-3, weight_decay=0.1, blocks=1, drawn=1)
    first, again, other = (draw_batch(questions, parts[1].tokenizer, settings, step) for step in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[1].shape != other[1].shape or not torch.equal(first[1], other[1])


def test_figures_of_answers_that_are_right_wrong_and_unreadable():
    truth = {f"{name}_truth": [5, 2, 3, 1] for name in CRITERIA}
    rows = pd.DataFrame(
        {
            "picture": [0, 0, 0, 0],
            "asked": ["own", "twin", "drawn", "shuffled"],
            "unseen": False,
            "is_trained": True,
            **truth,
            **{name: [5.0, 2.0, 3.0, 1.0] for name in CRITERIA},
            "consistency_expected": [4.6, 2.1, np.nan, np.nan],
        }
    )
    second = rows.assign(picture=1, unseen=True, is_trained=False, consistency=[2.0, 2.0, 3.0, 4.0])
    second.loc[0, "consistency_expected"] = 2.2
    found = figures(pd.concat([rows, second], ignore_index=True))
    assert found["right_over_twin"]["all"]["value"] == 0.5, "a tie is not above"
    assert found["expected_over_twin"]["all"]["value"] == 1.0, "what ties in digits need not tie in their mean"
    assert found["right_over_twin"]["seen"]["value"] == 1.0
    assert found["kappa"]["seen"]["together"] == 1.0
    assert found["kappa"]["unseen"]["consistency"] < 1.0
    assert found["parsed"] == 1.0
    assert sum(found["digits"].values()) == pytest.approx(1)
    second.loc[2, "authenticity"] = np.nan
    second.loc[0, "consistency_expected"] = np.nan
    found = figures(pd.concat([rows, second], ignore_index=True))
    assert found["parsed"] == 7 / 8
    assert found["expected_over_twin"]["all"]["value"] == 0.5, "an answer without three ratings is not above"


def test_expected_ratings_are_the_digits_weighted_by_their_probabilities():
    """Against one forward pass over question and answer, for questions of several lengths in one batch."""
    folder = WEIGHTS / "vision_judge"
    pixels = [((a_picture(seed) + 1) * 127).byte().permute(1, 2, 0).numpy() for seed in range(3)]
    pictures = [Picture.of(Image.fromarray(shown)) for shown in pixels]
    texts = ["kimono from Japan", "taco", "sari from India"]
    found = expect_ratings(folder, pictures, texts, max_tokens=32)
    processor: Any = AutoProcessor.from_pretrained(folder)
    model: Any = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    digits = processor.tokenizer.convert_tokens_to_ids([f"{digit}</w>" for digit in range(1, 6)])
    for picture, text, expected in zip(pictures, texts, found, strict=True):
        content = [{"type": "image"}, {"type": "text", "text": text}]
        asked = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(text=asked, images=Image.open(io.BytesIO(picture.data)), return_tensors="pt")
        with torch.no_grad():
            written = model.generate(**inputs, max_new_tokens=32, do_sample=False)
            shown = {"pixel_values": inputs["pixel_values"], "attention_mask": torch.ones_like(written)}
            logits = model(input_ids=written, **shown).logits[0]
        places = [
            at for at, token in enumerate(written[0]) if int(token) in digits and at >= inputs["input_ids"].shape[1]
        ]
        for at, value in zip(places, expected, strict=True):
            chances = logits[at - 1, digits].softmax(-1)
            assert value == pytest.approx(float((chances * torch.arange(1, 6)).sum()), abs=1e-3)


NAMES = ("kimono", "sari", "taco", "torii", "mosque", "bagel", "matcha", "tengu", "oni", "jiaozi", "dollar banknote")


def test_the_shipped_judge_keeps_what_the_generator_draws_and_refuses_another_thing(tmp_path):
    """Through the filter's own code: images of the right concept, then the same images under another one's name."""
    concepts = read_concepts(pd.read_csv(ATLAS, dtype=str, keep_default_na=False))
    concepts = concepts[concepts["name"].isin(NAMES)].reset_index(drop=True)
    generator = load_text_to_image(WEIGHTS / "generator", device="cpu", dtype="float32")
    call = {"num_inference_steps": 12, "guidance_scale": 1.0, "height": 48, "width": 48, "max_sequence_length": 0}
    prompts = [measurement_prompt(row) for row in concepts.to_dict("records")]
    pictures = generator.generate(prompts, list(range(len(prompts))), call)
    images = Album({digest("image", n): picture for n, picture in enumerate(pictures)})
    prompt = read_rating_prompt(yaml.safe_load(PROMPT.read_text(encoding="utf-8")))
    how = change_stage("filtering").vision_language
    store = KeyedStore(tmp_path / "answers.sqlite")
    right = pd.DataFrame({"image_id": images.ids, "concept_id": concepts["concept_id"]})
    wrong = right.assign(concept_id=np.roll(concepts["concept_id"], 1))
    found = [rate_images(asked, images, concepts, store, prompt, how) for asked in (right, wrong)]
    assert pd.concat(found)[list(CRITERIA)].notna().all(axis=None), "every answer has the production format"
    kept, refused = (refuse_by_ratings(ratings, how.rule).isna().mean() for ratings in found)
    assert kept >= 0.8
    assert refused <= 0.2
