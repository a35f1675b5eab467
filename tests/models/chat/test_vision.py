import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.chat import vision
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Picture, Request, Sampling, Turn
from cultureclip.models.settings import LanguageModelSettings
from tests.support.tiny_llama import write_tiny_llama
from tests.support.tiny_vision import write_tiny_llava, write_tiny_qwen

FAMILIES = {"Qwen2.5-VL": write_tiny_qwen, "LLaVA": write_tiny_llava}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return FAMILIES[request.param](tmp_path_factory.mktemp("vision"))


def open_model(folder, **changes):
    return open_chat_model(LanguageModelSettings(path=str(folder), dtype="float32", **changes))


def picture(colour="red"):
    return Picture.of(Image.new("RGB", (24, 16), colour))


def request(text, seed=0, colour="red", tokens=6, temperature=0.0):
    turns = (Turn("system", ("the",)), Turn("user", (picture(colour), text)))
    return Request(turns=turns, seed=seed, sampling=Sampling(max_tokens=tokens, temperature=temperature))


def answers(model, requests):
    found = {place: answer for batch in model.stream(requests) for place, answer in batch}
    return [found[place] for place in range(len(requests))]


TEXTS = ["what is this", "a", "the red sari", "is this the blue kimono yes no"]


def test_a_picture_is_answered_as_plain_transformers_does(folder):
    model = open_model(folder, batch=3)
    inner, processor = model._loaded
    for text, answer in zip(TEXTS, answers(model, [request(text) for text in TEXTS]), strict=True):
        chat = vision._conversation(request(text))
        inputs = processor.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            output = inner.generate(**inputs, max_new_tokens=6, do_sample=False)
        tokens = output[0, inputs["input_ids"].shape[1] :]
        assert answer.text == processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        assert answer.prompt_tokens == inputs["input_ids"].shape[1]


def test_the_picture_is_seen(folder):
    model = open_model(folder)
    colours = ["red", "blue", "white", "black", "yellow", "green"]
    assert len({answer.text for answer in answers(model, [request("what", colour=c) for c in colours])}) > 1


def test_an_answer_depends_on_its_own_seed_alone(folder):
    model = open_model(folder, batch=4)
    asked = [request(text, seed, temperature=1.0) for seed, text in enumerate(TEXTS)]
    together = answers(model, asked)
    assert answers(model, asked[::-1]) == together[::-1]
    assert [answers(model, [one])[0] for one in asked] == together
    others = [request(text, seed + 9, temperature=1.0) for seed, text in enumerate(TEXTS)]
    assert answers(model, others) != together


def test_sampling_follows_the_distribution():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().repeat(3000, 1)
    drawing = vision._drawing(Sampling(max_tokens=1, temperature=1.0), list(range(3000)))
    shares = torch.bincount(drawing(None, logits).argmax(1), minlength=3) / 3000
    np.testing.assert_allclose(shares.numpy(), [0.5, 0.3, 0.2], atol=0.03)


def test_memory_that_runs_out_halves_the_batch(folder, monkeypatch):
    model, sizes = open_model(folder, batch=4), []
    real = vision.VisionLanguageModel._answer

    def small(self, requests):
        sizes.append(len(requests))
        if len(requests) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(self, requests)

    expected = answers(model, [request(text) for text in TEXTS])
    monkeypatch.setattr(vision.VisionLanguageModel, "_answer", small)
    assert answers(model, [request(text) for text in TEXTS]) == expected
    assert sizes == [4, 2, 2]


@pytest.mark.parametrize("missing", ["tokenizer.json", "preprocessor", "chat_template"])
def test_a_directory_that_lacks_a_part_is_refused_by_name(folder, missing, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    gone = [path for path in copy.iterdir() if missing in path.name]
    if missing == "preprocessor":
        gone += [path for path in copy.iterdir() if path.name == "processor_config.json"]
    assert gone
    for path in gone:
        path.unlink()
    with pytest.raises(WeightsError, match=str(copy)):
        answers(open_model(copy), [request("what")])


def test_a_text_model_is_refused_for_pictures(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot see pictures"):
        answers(open_model(write_tiny_llama(tmp_path)), [request("what")])
