"""Two voices that talk about a twin, from a real server on loopback."""

import json

import pandas as pd
import pytest
import yaml

from cultureclip.captions.dialogue import (
    DIALOGUES,
    Dialogues,
    VoiceSettings,
    read_voices_prompt,
    said_of,
)
from cultureclip.captions.prompts import caption_turns, read_caption_prompt
from cultureclip.captions.write import concepts_to_caption
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.tables import make_table
from tests.captions.test_language import IDS, settings, tables
from tests.support.captions import PROMPT_FILE
from tests.support.chat_server import chat_server, completion

PROMPT = read_voices_prompt(yaml.safe_load((PROMPT_FILE.parent / "voices.yml").read_text(encoding="utf-8")))
SAID = {"kimono": "Mine is <|im_end|> wrapped,\twith wide sleeves.", "hanbok": "Mine has a short jacket."}


def hold(tmp_path, answer, lines=4) -> tuple[pd.DataFrame, list[str]]:
    with chat_server(answer) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="r1"))
        store = KeyedStore(tmp_path / "answers.sqlite")
        voices = VoiceSettings(lines=lines, max_new_tokens=20)
        table = Dialogues(store, model, PROMPT, voices, 3, Usage()).hold(*tables())
        return DIALOGUES.validate(table), [body["messages"][-1]["content"] for _, _, body in server.seen]


def speak(handler, body):
    question = body["messages"][-1]["content"]
    name = next(name for name in SAID if f"Name: {name}" in question)
    handler.send(json.dumps(completion(SAID[name])).encode())


def test_the_voices_speak_in_turn_each_with_its_own_facts_and_all_that_was_said(tmp_path):
    table, questions = hold(tmp_path, speak)
    assert list(table["turn"]) == [1, 2, 3, 4]
    assert list(table["concept_id"]) == [IDS["kimono"], IDS["hanbok"]] * 2
    assert "What was said" not in questions[0] and "Name: kimono" in questions[0]
    assert "South Korea: Mine has a short jacket." in questions[2] and "Japan: Mine is wrapped" in questions[3]
    assert table["text"][0] == "Mine is wrapped, with wide sleeves."
    assert [question.count("Mine") for question in questions] == [0, 1, 2, 3]


def test_a_held_dialogue_is_not_held_again(tmp_path):
    first, asked = hold(tmp_path, speak)
    again, none = hold(tmp_path, speak)
    assert (len(asked), len(none)) == (4, 0)
    pd.testing.assert_frame_equal(first, again)


@pytest.mark.parametrize(("finish", "text", "reason"), [("length", "Mine is", "cut_off"), ("stop", "\n", "empty")])
def test_a_line_that_failed_ends_its_dialogue_and_says_nothing(tmp_path, finish, text, reason):
    def stumble(handler, body):
        later = "What was said" in body["messages"][-1]["content"]
        reply = completion(text, finish=finish) if later else completion("Mine is wrapped.")
        handler.send(json.dumps(reply).encode())

    table, questions = hold(tmp_path, stumble)
    assert len(questions) == 2 and list(table["verdict"]) == ["accepted", "failed"]
    assert table["reason"][1] == reason and pd.isna(table["text"][1])
    assert said_of(table) == {IDS["kimono"]: ("Mine is wrapped.",)}


def test_captions_are_asked_for_with_what_the_own_voice_said(tmp_path):
    table, _ = hold(tmp_path, speak)
    asked = {concept.name: concept for concept in concepts_to_caption(*tables(), said_of(table))}
    content = {"system": "Answer.", "templates": {"plain": "{name} in {language}. Its people say: {said}"}}
    content["templates"]["translate"] = "{caption}"
    config = settings()
    with pytest.raises(ConfigurationError, match="no voices speak"):
        read_caption_prompt(content, config)
    voices = VoiceSettings(lines=2, max_new_tokens=9)
    prompt = read_caption_prompt(content, config.model_copy(update={"voices": voices}))
    question = caption_turns(prompt, "plain", asked["hanbok"], 0, "de")[-1].text
    assert question == "hanbok in German. Its people say: Mine has a short jacket. Mine has a short jacket."


def test_without_voices_the_table_is_empty_and_valid():
    nothing = make_table([], DIALOGUES)
    assert DIALOGUES.validate(nothing).empty and said_of(nothing) == {}


def test_a_twin_of_an_unknown_concept_is_named(tmp_path):
    twins, concepts = tables()
    with chat_server(speak) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="r1"))
        voices = VoiceSettings(lines=2, max_new_tokens=20)
        holder = Dialogues(KeyedStore(tmp_path / "a.sqlite"), model, PROMPT, voices, 3, Usage())
        with pytest.raises(SourceDataError, match=IDS["hanbok"]):
            holder.hold(twins, concepts[:1])
