"""The normal case at a real server: ``transformers serve`` with small models in the production formats."""

import pytest
from PIL import Image

from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Picture, Request, Sampling, Turn
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.settings import LanguageModelSettings
from tests.support.serving import serving
from tests.support.tiny_llama import write_tiny_llama
from tests.support.tiny_vision import write_tiny_llava, write_tiny_qwen


def answers(settings, requests):
    found = {place: answer for batch in open_chat_model(settings).stream(requests) for place, answer in batch}
    return [found[place] for place in range(len(requests))]


def request(*parts):
    return Request(turns=(Turn("user", parts),), sampling=Sampling(max_tokens=8), seed=0)


def test_a_served_text_model_answers_as_it_does_in_this_process(tmp_path):
    folder = write_tiny_llama(tmp_path)
    asked = [request(text) for text in ("kimono", "red sari from India", "a robe with wide long sleeves")]
    with serving(folder) as url:
        served = answers(ServerSettings(servers=(url,), model=str(folder), revision="1"), asked)
    here = answers(LanguageModelSettings(path=str(folder), dtype="float32"), asked)
    assert [(a.text, a.finish, a.completion_tokens) for a in served] == [
        (a.text, a.finish, a.completion_tokens) for a in here
    ]


@pytest.mark.parametrize("write", [write_tiny_qwen, write_tiny_llava])
def test_a_served_vision_language_model_is_given_the_picture(tmp_path, write):
    folder = write(tmp_path)
    picture = Picture.of(Image.new("RGB", (24, 16), "red"))
    with serving(folder) as url:
        settings = ServerSettings(servers=(url,), model=str(folder), revision="1")
        plain, shown = answers(settings, [request("what is this"), request(picture, "what is this")])
    assert shown.prompt_tokens > plain.prompt_tokens > 0
    assert shown.text and shown.completion_tokens == pytest.approx(8, abs=8)
