"""Which kind of chat model a configuration means, also where one is laid over another."""

import pytest
from pydantic import TypeAdapter, ValidationError

from cultureclip.models.chat.settings import ChatSettings, ServerSettings
from cultureclip.models.settings import LanguageModelSettings

HERE = {"path": "models/x", "gguf_file": "x.gguf", "device": "cpu", "batch": 8}
THERE = {"servers": ["http://127.0.0.1:1/v1"], "model": "m", "revision": "r"}


def read(content: object) -> LanguageModelSettings | ServerSettings:
    return TypeAdapter(ChatSettings).validate_python(content)


def test_servers_replace_the_model_that_a_configuration_below_names():
    assert read(HERE | THERE) == read(THERE) == ServerSettings(**THERE)
    assert read(HERE) == LanguageModelSettings(**HERE)
    assert read(ServerSettings(**THERE)) == ServerSettings(**THERE)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (HERE | THERE | {"concurency": 3}, "servers.concurency"),
        ({"servers": ["http://127.0.0.1:1/v1"], "model": "m"}, "servers.revision"),
        ({"pth": "models/x"}, "path.pth"),
        ({}, "path.path"),
    ],
)
def test_an_error_names_one_kind_and_its_key(content, named):
    with pytest.raises(ValidationError, match=named.replace(".", r"\.")) as caught:
        read(content)
    kind = named.partition(".")[0]
    assert {error["loc"][0] for error in caught.value.errors()} == {kind}
