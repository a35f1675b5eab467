"""Probabilities of given answers: equal to a plain forward pass, kept, and absent where a backend shows none."""

import math

import pytest
import torch

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.models.chat import vision
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import OptionScorer, Request, Sampling, Turn
from cultureclip.models.chat.scoring import score_all
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.settings import LanguageModelSettings
from tests.models.chat.test_vision import request as seen_request
from tests.support.tiny_llama import open_language_model, write_tiny_llama
from tests.support.tiny_vision import write_tiny_llava, write_tiny_qwen

OPTIONS = ("A", "B", "red")
TEXTS = ["kimono", "red sari from India with a long cloth", "a robe", "w1 w2 w3 w4 w5 w6 w7", "kimono"]


def request(text: str) -> Request:
    turns = (Turn("system", ("the robe of Japan",)), Turn("user", (text,)))
    return Request(turns=turns, sampling=Sampling(max_tokens=4), seed=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_language_model(write_tiny_llama(tmp_path_factory.mktemp("llama")), dtype="float32", batch=2)


@pytest.fixture
def store(tmp_path):
    return KeyedStore(tmp_path / "scores.sqlite")


def test_probabilities_equal_a_plain_forward_pass(model, store):
    scored = score_all(model, [request(text) for text in TEXTS], OPTIONS, store, Usage())
    tokens = model.tokenizer.convert_tokens_to_ids(list(OPTIONS))
    for text, chances in zip(TEXTS, scored, strict=True):
        chat = [{"role": turn.role, "content": turn.text} for turn in request(text).turns]
        with torch.no_grad():
            logits = model.model(torch.tensor([model._encode(chat)])).logits[0, -1]
        assert chances == pytest.approx(logits.log_softmax(0)[tokens].tolist(), abs=1e-4)
    assert sum(map(math.exp, scored[0])) < 1


@pytest.mark.parametrize("write", [write_tiny_qwen, write_tiny_llava])
def test_a_vision_models_probabilities_equal_a_plain_forward_pass(tmp_path, store, write):
    folder = write(tmp_path / "vision")
    model = open_chat_model(LanguageModelSettings(path=str(folder), dtype="float32", batch=2))
    inner, processor = model._loaded
    options = [processor.tokenizer.convert_ids_to_tokens(token) for token in (7, 8, 9)]
    asked = [seen_request(text, colour=colour) for text in ("what", "is this the sari") for colour in ("red", "blue")]
    scored = score_all(model, asked, options, store, Usage())
    for one, chances in zip(asked, scored, strict=True):
        inputs = processor.apply_chat_template(
            vision._conversation(one), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            logits = inner(**inputs).logits[0, -1]
        assert chances == pytest.approx(logits.log_softmax(0)[[7, 8, 9]].tolist(), abs=1e-4)
    assert scored[0] != scored[1], "the picture is seen"


def test_numbers_are_kept_and_equal_questions_are_computed_once(model, store, monkeypatch):
    usage = Usage()
    first = score_all(model, [request(text) for text in TEXTS], OPTIONS, store, usage)
    assert (usage.asked, usage.kept, len(store)) == (4, 0, 4)
    assert first[0] == first[-1]
    monkeypatch.setattr(type(model), "score", lambda *_: pytest.fail("asked again"))
    again = Usage()
    assert score_all(model, [request(text) for text in reversed(TEXTS)], OPTIONS, store, again) == first[::-1]
    assert (again.asked, again.kept) == (0, 5)


def test_an_answer_of_several_tokens_is_refused(model, store):
    with pytest.raises(ConfigurationError, match="not one token"):
        score_all(model, [request("kimono")], ("A", "A B"), store, Usage())


def test_a_server_shows_no_probabilities(model, store):
    server = ServerChat(ServerSettings(servers=("http://127.0.0.1:9/v1",), model="m", revision="r"))
    assert isinstance(model, OptionScorer)
    assert not isinstance(server, OptionScorer)
    assert score_all(server, [request("kimono")], OPTIONS, store, Usage()) is None
