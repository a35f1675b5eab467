"""The preview of captioning: the stage's own questions, asked once, and an estimate that the whole run bears out."""

import json
from collections import Counter
from hashlib import sha256
from itertools import pairwise

import pandas as pd
import pytest
import yaml
from kedro.validation import ParameterValidationError

from cultureclip.captions.write import write_captions
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError, MissingInputError, SourceDataError
from cultureclip.ids import concept_id, twin_id
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.pipelines.captioning.nodes import hold_dialogues
from cultureclip.pipelines.captioning.parameters import CaptioningParameters
from cultureclip.pipelines.preview import PreviewParameters
from cultureclip.pipelines.preview_captioning.nodes import choose_concepts, let_voices_speak, preview_captions
from tests.support.captions import CAPTION_PROMPT, CAPTION_SETTINGS, PROMPT_FILE
from tests.support.chat_server import chat_server, completion
from tests.support.tiny_llama import write_tiny_llama
from tests.test_hooks import Workplace, place  # noqa: F401 - a fixture

VOICES, CLAIMS = (
    yaml.safe_load((PROMPT_FILE.parent / f"{name}.yml").read_text(encoding="utf-8")) for name in ("voices", "claims")
)
CONCEPTS = 60
NAMES = [f"garment{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(CONCEPTS)]
IDS = [concept_id(name, ["JP"], "Clothing") for name in NAMES]


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twins in a row, and their concepts."""
    pairs = list(pairwise(IDS))
    rows = [(twin_id(a, b), a, b, "accepted") for a, b in pairs]
    concepts = pd.DataFrame({"concept_id": IDS, "name": NAMES, "context": "A robe."})
    for column, cell in (("cultures", ["JP"]), ("key_visual_features", ["wide sleeves", "long robe"]), ("aliases", [])):
        concepts[column] = [cell] * CONCEPTS
    return pd.DataFrame(rows, columns=["twin_id", "a_concept_id", "b_concept_id", "verdict"]), concepts


def answer_by_seed(handler, body):
    """Four answers in six are good, one is markup and one is cut off; which ones, the question and its seed decide."""
    question = body["messages"][-1]["content"]
    number = sha256(f"{question} {body['seed']}".encode()).digest()[0] % 6
    fields = dict(line.split(": ", 1) for line in question.splitlines() if ": " in line)
    good = f"Caption: A {fields['Name']} from Japan with {fields['Looks'].replace(',', ' and')}."
    text = "<script>alert(1)</script>" if number == 1 else good
    handler.send(json.dumps(completion(text, finish="length" if number == 0 else "stop")).encode())


def settings(server) -> CaptioningParameters:
    model = ServerSettings(servers=(server.url,), model="small", revision="r1", prices=(2.0, 10.0), concurrency=4)
    return CaptioningParameters(language_model=model, **dict(CAPTION_SETTINGS))


def preview(items, store, parameters):
    chosen = choose_concepts(*tables(), PreviewParameters(items=items))
    first, said = let_voices_speak(chosen, *tables(), store, VOICES, CLAIMS, parameters)
    return preview_captions(first, said, store, yaml.safe_load(PROMPT_FILE.read_text(encoding="utf-8")), parameters)


@pytest.fixture
def store(tmp_path) -> KeyedStore:
    return KeyedStore(tmp_path / "answers.sqlite")


def test_the_stage_asks_nothing_again_and_takes_what_the_preview_said(store):
    with chat_server(answer_by_seed) as server:
        parameters, usage = settings(server), Usage()
        seen = preview(20, store, parameters)
        asked = len(server.seen)
        assert asked == len(seen.shown) == Counter(shown.notes[1] for shown in seen.shown)["asked now"]
        model = open_chat_model(parameters.language_model)
        whole = write_captions(
            *tables(), store=store, model=model, prompt=CAPTION_PROMPT, settings=parameters, usage=usage
        )
        questions = Counter(json.dumps([body["messages"], body["seed"]]) for _, _, body in server.seen)
    assert set(questions.values()) == {1}
    tries = whole.drop_duplicates(["concept_id", "seed"])
    assert (usage.kept, usage.asked) == (asked, len(tries) - asked)
    actual = {
        "questions": len(tries),
        "accepted captions": (tries["verdict"] == "accepted").sum(),
        "tokens read": 7 * len(tries),
        "tokens written": 3 * len(tries),
        "cost": len(tries) * (7 * 2.0 + 3 * 10.0) / 1e6,
    }
    figures = {figure.name: figure for figure in seen.figures}
    assert set(figures) == {*actual, "time"}
    for name, value in actual.items():
        assert figures[name].seen < figures[name].low <= value <= figures[name].high, name
    assert tries["concept_id"].nunique() == CONCEPTS
    shown = {one.title for one in seen.shown}
    assert shown == {f"{NAMES[IDS.index(one)]} (Japan)" for one in sorted(IDS)[:20]}


def test_each_verdict_stands_beside_its_own_question(store):
    with chat_server(answer_by_seed) as server:
        seen = preview(10, store, settings(server))
        shown = {one.prompt[-1][1]: one for one in seen.shown}
        for _, _, body in server.seen:
            assert body["messages"][-1]["content"] in shown
    reasons = Counter(one.reason for one in seen.shown)
    assert reasons["cut off after 6 tokens"] and reasons["unparsable"] and reasons[None]
    for one in seen.shown:
        name = one.title.removesuffix(" (Japan)")
        assert f"Name: {name}" in one.prompt[-1][1]
        assert one.accepted == (one.reason is None) == (one.verdict == "accepted")
        assert one.parsed is None or name in one.parsed
    html = dict(seen.files())["index.html"].decode()
    assert "&lt;script&gt;alert(1)" in html and "<script" not in html


def test_more_items_than_there_are_show_all_and_the_estimate_is_exact(store):
    with chat_server(answer_by_seed) as server:
        seen = preview(1000, store, settings(server))
        assert (seen.items, seen.total) == (CONCEPTS, CONCEPTS)
        assert seen.figures[0].whole == len(server.seen) == seen.figures[0].low


def test_a_second_preview_asks_nothing_and_says_that_it_cannot_tell_the_time(store):
    with chat_server(answer_by_seed) as server:
        first = preview(10, store, settings(server))
        count = len(server.seen)
        second = preview(10, store, settings(server))
        assert len(server.seen) == count
    assert second.figures == [figure for figure in first.figures if figure.name != "time"]
    assert "kept" in second.remarks[0]


def test_without_an_accepted_twin_nothing_is_previewed():
    twins, concepts = tables()
    with pytest.raises(SourceDataError, match="none is accepted"):
        choose_concepts(twins.assign(verdict="rejected"), concepts, PreviewParameters(items=3))


def test_voices_speak_in_a_preview_about_the_first_concepts_alone_and_the_stage_asks_them_nothing_again(store):
    def speak(handler, body):
        handler.send(json.dumps(completion("It has wide sleeves.")).encode())

    with chat_server(speak) as server:
        parameters = CaptioningParameters.model_validate(
            settings(server).model_dump() | {"voices": {"lines": 2, "max_new_tokens": 20}}
        )
        chosen = choose_concepts(*tables(), PreviewParameters(items=3))
        first, figures = let_voices_speak(chosen, *tables(), store, VOICES, CLAIMS, parameters)
        asked = len(server.seen)
        assert 3 < asked < 2 * len(tables()[0])
        assert all(concept.said for concept in first.items)
        (lines,) = figures
        assert (lines.name, lines.seen, lines.whole) == ("lines of dialogues", asked, 2 * len(tables()[0]))
        dialogues, _ = hold_dialogues(*tables(), store, VOICES, parameters)
        assert len(server.seen) == len(dialogues) == 2 * len(tables()[0])


def test_a_session_leaves_the_page_and_none_of_the_stages_tables(place: Workplace, tmp_path):  # noqa: F811
    twins, concepts = tables()
    place.put_table("03_primary/concepts.parquet", concepts)
    place.put_table("03_primary/twins.parquet", twins)
    model = {"path": str(write_tiny_llama(tmp_path / "llama")), "gguf_file": None}
    place.run("preview_captioning", captioning={"language_model": model, "max_tries": 2}, preview={"items": 1})
    made = {path.relative_to(place.data).parts[:3] for path in place.data.rglob("*") if path.is_file()}
    assert {parts[1] for parts in made if parts[0] != "08_reporting"} == {
        "concepts.parquet",
        "twins.parquet",
        "caption_answers.sqlite",
    }
    assert {parts[1] for parts in made if parts[0] == "08_reporting"} == {"preview", "logs", "run_manifest.json"}
    (html,) = (place.data / "08_reporting" / "preview" / "captioning").glob("2*/captioning/index.html")
    assert "The first 1 of 60 concepts" in html.read_text(encoding="utf-8")
    assert place.manifests()[0]["models"]["captioning.language_model.path"]["spec"] == model["path"]


@pytest.mark.parametrize(
    ("parameters", "error", "named"),
    [
        ({"preview": {"items": 0}}, ParameterValidationError, "items"),
        ({"preview": {"item": 3}}, ParameterValidationError, "item"),
        ({"preview_captioning": {"items": 3}}, ConfigurationError, "nothing reads it"),
    ],
)
def test_what_cannot_be_previewed_stops_before_any_work(place: Workplace, parameters, error, named):  # noqa: F811
    place.put_table("03_primary/concepts.parquet", tables()[1])
    place.put_table("03_primary/twins.parquet", tables()[0])
    with pytest.raises(error, match=named):
        place.run("preview_captioning", **parameters)
    assert place.manifests() == []


def test_a_missing_input_names_the_command_that_makes_it(place: Workplace):  # noqa: F811
    with pytest.raises(MissingInputError, match="kedro run --pipelines=mining"):
        place.run("preview_captioning")
