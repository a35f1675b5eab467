"""Captions in other languages than English, from a real server on loopback."""

import json

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from cultureclip.captions.language import culture_in, is_written_in, language_name, says
from cultureclip.captions.prompts import read_caption_prompt
from cultureclip.captions.settings import CaptionKind, CaptionRules, CaptionSettings
from cultureclip.captions.write import write_captions
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.ids import concept_id, digest, twin_id
from cultureclip.images.requests import plan_requests
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.tables import CAPTIONS
from tests.support.captions import PROMPT_FILE
from tests.support.chat_server import chat_server, completion

TEMPLATES = {
    "plain": "In {language}. Name: {name}\nCulture: {culture}\nLooks: {features}",
    "translate": "From {language}: {caption}",
}
PROMPT = {"system": "Answer.", "templates": TEMPLATES}
NAMES = {"kimono": "JP", "hanbok": "KR"}
IDS = {name: concept_id(name, [code], "Clothing") for name, code in NAMES.items()}
GOOD = {
    "kimono": ("Ein Kimono aus Japan mit weiten Ärmeln.", "A kimono from Japan with wide sleeves."),
    "hanbok": ("Ein Hanbok aus Korea mit kurzer Jacke.", "A hanbok from South Korea with a short jacket."),
}


def settings(**changes) -> CaptionSettings:
    kind = CaptionKind(**{"wanted": 1, "templates": ("plain",), "language": "de"} | changes)
    return CaptionSettings(
        kinds={"german": kind}, max_tries=2, seed=7, max_new_tokens=40, temperature=1.0, top_p=0.9, rules=CaptionRules()
    )


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    a, b = IDS.values()
    concepts = pd.DataFrame(
        {
            "concept_id": [a, b],
            "name": list(NAMES),
            "aliases": [["きもの"], []],
            "cultures": [["JP"], ["KR"]],
            "context": ["A robe.", "A dress."],
            "key_visual_features": [["wide sleeves"], ["short jacket"]],
        }
    )
    pair = {"twin_id": twin_id(a, b), "a_concept_id": a, "b_concept_id": b, "verdict": "accepted"}
    return pd.DataFrame([pair]), concepts


def write(tmp_path, written: dict[str, str], translated: dict[str, str], config: CaptionSettings) -> pd.DataFrame:
    """Ask a server that gives each concept a caption, and each caption a translation."""

    def answer(handler, body):
        question = body["messages"][-1]["content"]
        if question.startswith("From German: "):
            said = translated[question.removeprefix("From German: ")]
        else:
            said = next(text for name, text in written.items() if f"Name: {name}" in question)
        handler.send(json.dumps(completion(f"Caption: {said}")).encode())

    with chat_server(answer) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="r1"))
        store = KeyedStore(tmp_path / "answers.sqlite")
        prompt = read_caption_prompt(PROMPT, config)
        table = write_captions(*tables(), store=store, model=model, prompt=prompt, settings=config)
    CAPTIONS.validate(table)
    return table.set_index("concept_id")


def test_a_caption_is_kept_in_its_language_and_checked_and_drawn_by_its_translation(tmp_path):
    german, english = ({name: pair[i] for name, pair in GOOD.items()} for i in (0, 1))
    table = write(tmp_path, german, dict(GOOD.values()), settings())
    assert list(table["verdict"]) == ["accepted", "accepted"]
    for name, one in IDS.items():
        row = table.loc[one]
        assert (row["language"], row["text"], row["english"]) == ("de", german[name], english[name])

    class Recipe:
        def image_id(self, prompt: str, k: int) -> str:
            return digest(prompt, k)

    assert set(plan_requests(table.reset_index(), Recipe(), 1, 1)["prompt"]) == set(english.values())


@pytest.mark.parametrize(
    ("text", "translation", "reason"),
    [
        ("A kimono from Japan with wide sleeves.", "A kimono from Japan with wide sleeves.", "other_language"),
        ("Ein Kimono aus Japan mit weiten Ärmeln.", "Ein Kimono aus Japan mit weiten Ärmeln.", "other_language"),
        ("Ein Kimono aus Japan mit weiten Ärmeln.", "", "not_translated"),
        ("Ein Kimono aus Japan mit roten Blumen.", "A kimono from Japan with red flowers.", "features_missing"),
        (
            "Ein Kimono aus Korea mit weiten Ärmeln.",
            "A kimono from South Korea with wide sleeves.",
            "culture_not_named",
        ),
    ],
)
def test_a_caption_that_is_not_what_was_asked_for_is_refused(tmp_path, text, translation, reason):
    captions = {"kimono": text, "hanbok": GOOD["hanbok"][0]}
    table = write(tmp_path, captions, {GOOD["hanbok"][0]: GOOD["hanbok"][1], text: translation}, settings())
    kimono = table.loc[[IDS["kimono"]]]
    assert set(kimono["reason"]) == {reason}
    assert len(kimono) == 2, "it is asked for again"


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        ("Das Gewand aus Japan hat weite Ärmel.", {"culture": "unnamed", "concept": "unnamed"}, "culture_named"),
        ("Das Gewand Kimono hat weite Ärmel.", {"culture": "free", "concept": "unnamed"}, "concept_named"),
        ("Das きもの hat weite Ärmel.", {"culture": "free", "concept": "unnamed"}, "concept_named"),
    ],
)
def test_what_a_translation_lost_is_found_in_the_caption_itself(tmp_path, text, changes, reason):
    silent = "The robe has wide sleeves."
    captions = {"kimono": text, "hanbok": "Das Kleid hat eine kurze Jacke."}
    lost = {text: silent, captions["hanbok"]: "The dress has a short jacket."}
    table = write(tmp_path, captions, lost, settings(**changes))
    assert set(table.loc[[IDS["kimono"]]]["reason"]) == {reason}


@pytest.mark.parametrize("code", ["xx", "deutsch", "", "en_GB", "../etc"])
def test_an_unknown_language_is_refused_with_the_setting(code):
    with pytest.raises(ValidationError, match="language"):
        CaptionKind(wanted=1, templates=("plain",), language=code)


def test_a_template_that_does_not_say_the_language_stops_before_any_question():
    shipped = yaml.safe_load(PROMPT_FILE.read_text(encoding="utf-8"))
    shipped["templates"]["translate"] = TEMPLATES["translate"]
    with pytest.raises(ConfigurationError, match="German, which it does not say"):
        read_caption_prompt(shipped, settings(templates=("full",)))


def test_a_prompt_without_a_translation_stops_before_any_question():
    with pytest.raises(ConfigurationError, match="translate"):
        read_caption_prompt({"system": "Answer.", "templates": {"plain": TEMPLATES["plain"]}}, settings())


def test_languages_by_name_script_and_the_names_of_cultures():
    assert [language_name(code) for code in ("en", "de", "ja", "sw")] == ["English", "German", "Japanese", "Swahili"]
    assert culture_in("ja", "JP") == "日本" and culture_in("de", "KR") == "Südkorea"
    assert is_written_in("広い袖の日本の着物", "ja") and not is_written_in("A kimono with wide sleeves", "ja")
    assert not is_written_in("Ein Kimono mit weiten Ärmeln aus Japan", "ja")
    assert says("日本の着物", "日本") and says("EIN KIMONO", "kimono") and not says("Ein Kimono", "")
