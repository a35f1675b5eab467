import json
import threading
from collections import Counter

import pandas as pd
import pytest
from PIL import Image

from cultureclip import tables as schemas
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.errors import ConfigurationError
from cultureclip.judging import vision_language
from cultureclip.judging.panel import Material, ask_judges
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.scores import list_sides
from cultureclip.judging.settings import DecisionSettings
from cultureclip.judging.verdicts import decide, decisions
from cultureclip.judging.vision_language import rate_images, read_rating_prompt
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.request import Picture
from cultureclip.models.settings import LanguageModelSettings
from tests.support.chat_server import chat_server, completion
from tests.support.tiny_vision import write_tiny_llava

from .conftest import Album, Tables, noise_picture

PROMPT = {"system": "Rate.", "templates": {"rate": "{name} from {cultures}: {features}"}}


def ratings(*values: object) -> str:
    return json.dumps({n: {"rating": v, "reason": f"it is {v}"} for n, v in zip(CRITERIA, values, strict=True)})


def settings(url: str, tries: int = 2, images_per_side: int = 1) -> DecisionSettings:
    rater = {
        "model": {"servers": [url], "model": "small", "revision": "1", "retries": 0, "concurrency": 4},
        **{"max_new_tokens": 90, "temperature": 0.0, "top_p": 1.0, "seed": 1, "tries": tries},
    }
    return DecisionSettings(
        judges={"decide": ["vision_language"], "combine": "all"},
        vision_language=rater,
        **{"twin_margin": 0, "chance_margin": 0, "max_hamming": 0, "max_colour_distance": 0.5},
        min_images_per_side=images_per_side,
    )


def measured(tables: Tables) -> pd.DataFrame:
    sides = list_sides(tables.requests, tables.captions, tables.twins)
    looks = {"phash": [f"{i:016x}" for i in range(len(sides))], "colour": bytes(48).hex()}
    return sides.assign(fault=pd.Series([None] * len(sides), dtype=object), **looks)


def material(tables: Tables, store: KeyedStore, table: pd.DataFrame | None = None) -> Material:
    pictures = {i: noise_picture(n) for n, i in enumerate(tables.requests["image_id"])}
    table = measured(tables) if table is None else table
    return Material(table, Album(pictures), tables.concepts, store, PROMPT, {}, Usage())


@pytest.fixture
def store(tmp_path):
    return KeyedStore(tmp_path / "answers.sqlite")


def answering(choose):
    """A behaviour that answers by the question's text."""

    def behave(handler, body):
        parts = body["messages"][-1]["content"]
        text = next(part["text"] for part in parts if part["type"] == "text")
        handler.send(json.dumps(completion(choose(text))).encode())

    return behave


def test_every_image_is_asked_about_by_name_and_its_ratings_decide(tables, store):
    marks = {"kimono": ratings(5, 4, 4), "hanbok": ratings(5, 1, 5), "Chad": ratings(3, 3, 3), "Mali": ratings(2, 4, 4)}

    def choose(text):
        return next(answer for name, answer in marks.items() if name in text)

    with chat_server(answering(choose)) as server:
        rules = settings(server.url)
        given = material(tables, store)
        opinions = ask_judges(given, rules)
        judged = schemas.JUDGEMENTS.validate(decide(given.measured, opinions, rules))
        asked = Counter(json.dumps(body["messages"][-1]["content"][1]) for _, _, body in server.seen)
    assert sorted(asked.values()) == [3, 3, 3, 3]
    assert any("kimono from Japan: wide sleeves, a sash" in text for text in asked)
    rated = judged[judged["judge"] == "vision_language"]
    assert len(rated) == len(decisions(judged)) == 12
    names = rated.merge(given.measured[["image_id", "concept_id"]]).merge(tables.concepts)[["name", "reason"]]
    reasons = names.drop_duplicates().set_index("name")["reason"]
    assert reasons[["hanbok", "flag of Chad"]].tolist() == ["lowest_rating", "low_mean_rating"]
    assert reasons[["kimono", "flag of Mali"]].isna().all()
    assert rated["authenticity_reason"].str.startswith("it is").all()
    assert set(decisions(judged)["reason"]) == {"lowest_rating", "low_mean_rating", "twin_incomplete"}
    assert given.usage.asked == 12


def test_a_second_run_asks_nothing_and_reads_no_image(tables, store):
    with chat_server(answering(lambda _: ratings(5, 5, 5))) as server:
        first = ask_judges(material(tables, store), settings(server.url))
        again = material(tables, store)
        second = ask_judges(again, settings(server.url))
        assert len(server.seen) == 12
    assert again.images.reads == []
    pd.testing.assert_frame_equal(first, second)


def test_a_pool_rates_as_this_process_does(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(vision_language, "_AT_ONCE", 5)
    model = {"path": str(write_tiny_llava(tmp_path / "llava")), "dtype": "float32", "batch": 2}
    how = settings("http://127.0.0.1:1").vision_language.model_copy(
        update={"model": LanguageModelSettings(**model), "max_new_tokens": 8}
    )
    engines = {"here": HERE, "pool": EngineSettings(kind="pool", workers=2, journal=tmp_path / "jobs")}
    found, stored, used = {}, {}, {}
    for name, engine in engines.items():
        given, used[name] = material(tables, KeyedStore(tmp_path / f"{name}.sqlite")), Usage()
        wanted, prompt = given.measured[["image_id", "concept_id"]], read_rating_prompt(PROMPT)
        found[name] = rate_images(wanted, given.images, given.concepts, given.store, prompt, how, used[name], engine)
        stored[name] = sorted(map(str, given.store.read_all()))
    pd.testing.assert_frame_equal(found["here"], found["pool"])
    assert stored["here"] == stored["pool"] != []
    assert used["here"].asked == used["pool"].asked == 24
    assert (used["here"].failed, used["pool"].failed) == (12, 12)


def test_ratings_are_gathered_by_image_in_any_order_and_slices(tables, store, monkeypatch):
    """Kept, new and unreadable answers together, some rows at a time."""
    wanted = {image: 1 + place % 5 for place, image in enumerate(tables.requests["image_id"])}
    given = material(tables, store)
    table = given.measured.sample(frac=1, random_state=2)
    by_picture = {Picture.of(given.images.pictures[image]).url: image for image in wanted}

    def behave(handler, body):
        parts = body["messages"][-1]["content"]
        rating = wanted[by_picture[next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")]]
        said = ratings(rating, 5, 5) if rating > 1 else "no rating"
        handler.send(json.dumps(completion(said)).encode())

    monkeypatch.setattr(vision_language, "_ROWS", 5)
    with chat_server(behave) as server:
        rules = settings(server.url, tries=1)
        ask_judges(material(tables, store, table.iloc[:7]), rules)
        found = ask_judges(material(tables, store, table), rules)
    assert found["image_id"].tolist() == table["image_id"].tolist()
    for image, rating in zip(found["image_id"], found["authenticity"], strict=True):
        assert rating == wanted[image] if wanted[image] > 1 else pd.isna(rating)
    unread = found["authenticity"].isna()
    assert found.loc[unread, "cause"].str.contains("no rating").all() and found.loc[~unread, "cause"].isna().all()


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "4",
        "Score: 4",
        "4/5",
        "very good",
        json.dumps({"authenticity": 5, "consistency": 5, "cultural_fidelity": 5}),
        ratings(0, 5, 5),
        ratings(6, 5, 5),
        ratings(3.5, 5, 5),
        ratings("5", 5, 5),
        ratings(5, 5, 5) * 2,
        "5 5 5",
    ],
)
def test_an_answer_that_is_no_rating_is_null_and_fails_with_its_own_reason(tables, store, answer):
    with chat_server(answering(lambda _: answer)) as server:
        rules = settings(server.url, tries=2)
        given = material(tables, store)
        judged = schemas.JUDGEMENTS.validate(decide(given.measured, ask_judges(given, rules), rules))
        assert len(server.seen) == 24, "each image is asked about twice"
        ask_judges(material(tables, store), rules)
        assert len(server.seen) == 24, "the same answers are kept"
    rated = judged[judged["judge"] == "vision_language"]
    assert rated[list(CRITERIA)].isna().all(axis=None)
    assert (rated[["verdict", "reason"]] == ["failed", "not_rated"]).all(axis=None)
    assert (decisions(judged)["verdict"] == "failed").all()
    assert rated["cause"].str.len().gt(10).all()


def test_a_null_rating_fails_alone(tables, store):
    with chat_server(answering(lambda text: ratings(5, None if "kimono" in text else 5, 5))) as server:
        rules = settings(server.url)
        given = material(tables, store)
        rated = ask_judges(given, rules).merge(given.measured[["image_id", "concept_id"]]).merge(tables.concepts)
    kimono = rated["name"] == "kimono"
    assert rated.loc[kimono, "consistency"].isna().all()
    assert (rated.loc[kimono, "authenticity"] == 5).all()
    assert (rated.loc[kimono, "reason"] == "not_rated").all()
    assert rated.loc[~kimono, "reason"].isna().all()


class Broken(Album):
    """Some files cannot be decoded."""

    def read(self, ids):
        if bad := [i for i in ids if i in self.bad]:
            raise OSError(f"image file is truncated: {bad}")
        return super().read(ids)


def test_an_unreadable_image_moves_no_rating_to_another(tables, store):
    """The release puts unreadable images before the valid ones of their batch: ratings then belong to other images."""
    given = material(tables, store)
    wanted = given.measured.sort_values("image_id")["image_id"].tolist()
    broken = Broken(dict(given.images.pictures))
    broken.bad = {wanted[1], wanted[4]}
    colours = {i: Image.new("RGB", (8, 8), (n, 0, 0)) for n, i in enumerate(wanted)}
    broken.pictures.update(colours)
    lock, told = threading.Lock(), {}

    def behave(handler, body):
        url = body["messages"][-1]["content"][0]["image_url"]["url"]
        with lock:
            value = told.setdefault(url, 2 + len(told) % 4)
        handler.send(json.dumps(completion(ratings(value, value, value))).encode())

    with chat_server(behave) as server:
        given = Material(given.measured, broken, given.concepts, store, PROMPT, {}, Usage())
        rated = ask_judges(given, settings(server.url)).set_index("image_id")
    for image, picture in colours.items():
        if image in broken.bad:
            assert rated.loc[image, "reason"] == "unreadable"
        else:
            assert rated.loc[image, "authenticity"] == told[Picture.of(picture).url]


def test_images_with_a_fault_are_not_asked_about(tables, store):
    table = measured(tables)
    table.loc[[0, 5], "fault"] = ["unreadable", "not_generated"]
    with chat_server(answering(lambda _: ratings(5, 5, 5))) as server:
        opinions = ask_judges(material(tables, store, table), settings(server.url))
        assert len(server.seen) == 10
    assert opinions.loc[[0, 5], "reason"].tolist() == ["unreadable", "not_generated"]
    assert opinions.loc[[0, 5], "verdict"].tolist() == ["failed", "failed"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"system": "x", "templates": {"other": "{name}"}},
        {"system": "x", "templates": {"rate": "{nam}"}},
        {"system": "x", "templates": {"rate": "{name"}},
    ],
)
def test_a_prompt_that_is_none_is_refused(content):
    with pytest.raises(ConfigurationError, match="prompt rating"):
        read_rating_prompt(content)
