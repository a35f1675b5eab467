import json

import pytest

from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.units import ModelChecker, WordChecker, report_units, split_units
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.prompts import Prompt
from tests.support.chat_server import chat_server, completion

KIMONO = ConceptFacts(
    "0" * 20,
    "kimono",
    ("wafuku",),
    ("JP",),
    "The kimono is a wrapped robe of Japan, worn at weddings.",
    ("T-shaped robe", "long wide sleeves", "broad red sash"),
)


@pytest.mark.parametrize(
    ("caption", "units"),
    [
        ("A kimono from Japan with a broad red sash.", ("A kimono", "Japan", "a broad red sash")),
        ("A robe, red and long, worn at weddings", ("A robe", "red", "long", "weddings")),
        ("With and from.", ()),
        ("", ()),
    ],
)
def test_a_caption_is_split_where_a_statement_is_added(caption, units):
    assert split_units(caption) == units


def test_precision_and_recall_are_those_of_the_paper():
    caption = "A Japanese kimono with long sleeves, a broad red sash and purple stars."
    (report,) = report_units([(caption, KIMONO)], WordChecker())
    assert report.units == ("A Japanese kimono", "long sleeves", "a broad red sash", "purple stars")
    assert report.problems == ("purple stars",)
    assert report.precision == 3 / 4
    assert report.recall == 3 / 4  # two of three features and the culture


def test_a_caption_without_a_unit_has_no_precision():
    (report,) = report_units([("With.", KIMONO)], WordChecker())
    assert report.precision == 0


@pytest.mark.parametrize("planted", ["and a green jacket", "with seven stars", "at a harvest festival", "from Korea"])
def test_what_the_facts_do_not_say_is_a_problem(planted):
    clean, wrong = report_units(
        [("A kimono with long sleeves", KIMONO), (f"A kimono with long sleeves {planted}", KIMONO)], WordChecker()
    )
    assert not clean.problems
    assert len(wrong.problems) == 1


def test_a_model_can_be_the_checker_and_no_answer_supports_nothing(tmp_path):
    """The server says yes where the statement is in the facts, no where it is not, and prose to one statement."""

    def reply(handler, body):
        statement, _, facts = body["messages"][-1]["content"].partition(" | ")
        verdict = json.dumps({"supported": statement.lower() in facts.lower()})
        handler.send(json.dumps(completion("Maybe." if "sash" in statement else verdict)).encode())

    prompt = Prompt(system="Check.", templates={"check": "{statement} | {facts}"})
    with chat_server(reply) as server:
        model = ServerChat(ServerSettings(servers=(server.url,), model="small", revision="1", retries=0))
        checker = ModelChecker(model, prompt, KeyedStore(tmp_path / "answers.sqlite"))
        (report,) = report_units([("Long wide sleeves, a broad red sash and a green jacket", KIMONO)], checker)
        asked = len(server.seen)
        report_units([("Long wide sleeves, a broad red sash and a green jacket", KIMONO)], checker)
        assert len(server.seen) == asked, "answers are kept"
    assert report.supported == (True, None, False)
    assert report.precision == 1 / 3
