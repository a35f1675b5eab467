"""Questions about look-alikes: what is asked, which answers are culture-related, what becomes a hard negative."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import AbstractDataset

from cultureclip.audit.culture_benchmark import CULTURE_RELATED, pose_questions
from cultureclip.audit.culture_instances import (
    CULTURE_INSTANCES,
    add_hard_negatives,
    build_instances,
    make_questions,
    summarise_instances,
)
from cultureclip.audit.questionnaires.survey import ask_survey
from cultureclip.audit.settings import InterviewSettings
from cultureclip.benchmarks.references import read_references
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.pipelines.culture_instances.nodes import ask_about_twins
from cultureclip.tables import NEGATIVE_COLUMNS
from tests.audit.conftest import ROOT
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import change_stage

THINGS = {"kimono": ["JP"], "hanbok": ["KR", "KP"], "hanfu": ["CN"], "chima": ["KR"], "Hanbok": ["US"]}
TWINS = [("kimono", "hanbok"), ("hanfu", "hanbok"), ("chima", "hanbok"), ("hanbok", "Hanbok")]
QUESTION = "Which {universal} is at home where you live?"


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    concepts = pd.DataFrame(
        {
            "concept_id": list(THINGS),
            "name": list(THINGS),
            "cultures": list(THINGS.values()),
            "universal": "robe",
            "category": "Clothing",
        }
    )
    twins = pd.DataFrame(TWINS, columns=["a_concept_id", "b_concept_id"]).assign(verdict="accepted")
    refused = pd.DataFrame([["kimono", "hanfu"]], columns=["a_concept_id", "b_concept_id"]).assign(verdict="rejected")
    return concepts, pd.concat([twins, refused], ignore_index=True)


def ask(make_asker, behaviour, **changes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the questions and the instances; ``behaviour`` chooses an option by the country that was named or ''."""

    def answer(text: str) -> str:
        listed = dict(re.findall(r"^(\d)\. (.*)$", text, re.MULTILINE))
        country = next(
            (name for name in ("Japan", "South Korea", "North Korea", "China") if f"from {name}" in text), ""
        )
        wanted = behaviour(country, list(listed.values()))
        return next((number for number, option in listed.items() if option == wanted), "I do not know")

    questions = make_questions(*tables(), QUESTION, 4)
    settings = InterviewSettings.model_validate({"personas": {"everyone": "a person"}} | changes)
    countries = {item: [country] for item, country in zip(questions["item"], questions["country"], strict=True)}
    answers = ask_survey(questions, countries, settings, make_asker(answer))
    return questions, CULTURE_INSTANCES.validate(build_instances(answers, questions, "{name} from {country}"))


def test_options_are_the_concept_and_accepted_look_alikes_of_other_cultures():
    questions = make_questions(*tables(), QUESTION, 4).set_index("item")
    assert set(questions.loc["hanbok", "options"]) == {"hanbok", "hanfu", "kimono"}, "chima is Korean, too"
    assert set(questions.loc["kimono", "options"]) == {"kimono", "hanbok"}
    assert "chima" not in questions.index, "its only look-alike is of its own culture"
    assert "Hanbok" not in questions.index, "its look-alike has its name"
    assert set(questions["question"]) == {"Which robe is at home where you live?"}
    for own, row in questions.iterrows():
        assert row["options"][row["right"] - 1] == own
    assert len(make_questions(*tables(), QUESTION, 2).set_index("item").loc["hanbok", "options"]) == 2
    assert len(make_questions(*tables(), QUESTION, 4, first=1)) == 1


def test_the_place_of_the_right_option_varies():
    names = [f"thing {n}" for n in range(80)]
    concepts = pd.DataFrame(
        {"concept_id": names, "name": names, "cultures": [["JP"], ["KR"]] * 40, "universal": "x", "category": "Art"}
    )
    twins = pd.DataFrame({"a_concept_id": names[::2], "b_concept_id": names[1::2], "verdict": "accepted"})
    rights = make_questions(concepts, twins, "?", 4)["right"]
    assert 20 < (rights == 1).sum() < 60


def knows_when_told(country: str, options: list[str]) -> str:
    home = {"Japan": "kimono", "South Korea": "hanbok", "North Korea": "hanbok", "China": "hanfu"}
    return home.get(country, "kimono" if "kimono" in options else options[0])


def test_a_changed_and_wrong_default_is_a_hard_negative_of_the_culture(make_asker):
    _, instances = ask(make_asker, lambda country, options: knows_when_told(country, sorted(options)))
    by_concept = instances.groupby("concept_id")
    assert set(by_concept.get_group("hanbok")["hard_negative"]) == {"kimono from South Korea"}
    assert by_concept.get_group("kimono")["reason"].eq("same_answer").all()
    assert by_concept.get_group("kimono")["hard_negative"].isna().all()
    found = summarise_instances(instances)
    assert found["in"] == found["kept"] + sum(found["rejected"].values()) == len(instances)
    assert found["right"]["aware"]["value"] == 1 and found["right"]["unaware"]["value"] < 1
    assert found["hard_negatives"] == 2 and found["concepts"] == 2


def test_a_default_that_is_right_is_no_negative_though_the_answer_changes(make_asker):
    _, instances = ask(make_asker, lambda country, options: "hanfu" if country else "hanbok")
    hanbok = instances[instances["concept_id"] == "hanbok"]
    assert hanbok["verdict"].eq("accepted").all() and hanbok["hard_negative"].isna().all()


def test_without_a_repeat_or_an_answer_nothing_is_selected(make_asker):
    _, once = ask(make_asker, lambda country, options: "hanfu" if country else "kimono", repeats=1)
    assert once["hard_negative"].isna().all()
    assert "not_repeated" in set(once["reason"].dropna())
    _, mute = ask(make_asker, lambda country, options: None, repeats=2, max_new_tokens=17)
    assert mute["reason"].eq("aware_unread").all() and summarise_instances(mute)["right"] == {
        "aware": None,
        "unaware": None,
    }


def rows(number: int) -> pd.DataFrame:
    return pd.DataFrame({"row_id": [f"r{n}" for n in range(number)], "pos_concept_id": "a", "neg_concept_id": "b"})


def test_each_side_gets_a_negative_of_its_own_concept_whatever_the_order_of_the_rows():
    instances = pd.DataFrame({"concept_id": ["a", "a", "a", "c", "b"], "hard_negative": ["x", "y", "x", "z", None]})
    given = rows(200)
    added = add_hard_negatives(given, instances)
    share = (added[NEGATIVE_COLUMNS[0]] == "x").mean()
    assert set(added[NEGATIVE_COLUMNS[0]]) == {"x", "y"} and share == pytest.approx(0.5, abs=0.12)
    assert added[NEGATIVE_COLUMNS[1]].isna().all()
    shuffled = given.sample(frac=1, random_state=np.random.RandomState(0))
    again = add_hard_negatives(shuffled, instances).sort_values("row_id")
    assert dict(zip(again["row_id"], again[NEGATIVE_COLUMNS[0]], strict=True)) == dict(
        zip(added["row_id"], added[NEGATIVE_COLUMNS[0]], strict=True)
    )


def test_the_benchmark_shows_the_held_out_picture_beside_both_texts_in_the_same_words(tmp_path):
    drawn = pd.DataFrame(
        {
            "concept_id": ["a", "b", "c"],
            "name": ["kimono", "taco", "sari"],
            "category": ["Clothing", "Cuisine", "Clothing"],
            "reference_image": ["emoji:👘", "emoji:🌮", None],
        }
    )
    instances = pd.DataFrame(
        {
            "concept_id": ["a", "a", "b", "c", "b"],
            "country": ["Japan", "Japan", "Mexico", "India", "Mexico"],
            "hard_negative": ["hanbok from Japan", "hanbok from Japan", None, "x from India", "pita from Mexico"],
        }
    )
    table = CULTURE_RELATED.validate(pose_questions(instances, drawn, "{name} from {country}", 32))
    assert table[["caption", "negative_caption"]].to_numpy().tolist() == [
        ["kimono from Japan", "hanbok from Japan"],
        ["taco from Mexico", "pita from Mexico"],
    ]
    table.to_parquet(tmp_path / "questions.parquet")
    entry = yaml.safe_load((ROOT / "conf/base/catalog_culture_instances.yml").read_text(encoding="utf-8"))
    entry = entry["benchmark_culture-related"] | {"filepath": str(tmp_path)}
    benchmark = AbstractDataset.from_config("benchmark_culture-related", entry).load()
    assert benchmark.size == 2
    shown = {question.options: benchmark.images[question.image] for question in benchmark.questions}
    for concept, options in zip("ab", table[["caption", "negative_caption"]].itertuples(index=False), strict=True):
        np.testing.assert_array_equal(shown[tuple(options)], read_references(drawn, 32)[concept])


def test_without_a_hard_negative_the_benchmark_is_empty(tmp_path):
    instances = pd.DataFrame({"concept_id": ["a"], "country": ["Japan"], "hard_negative": [None]})
    concepts = pd.DataFrame({"concept_id": ["a"], "name": ["x"], "category": ["Art"], "reference_image": ["emoji:👘"]})
    assert CULTURE_RELATED.validate(pose_questions(instances, concepts, "{name}", 32)).empty


def test_the_stage_asks_a_server_once_and_leaves_out_what_people_took_out(tmp_path, prompt):
    def answer(handler, body):
        question = body["messages"][-1]["content"]
        listed = dict(re.findall(r"^(\d)\. (.*)$", question, re.MULTILINE))
        wanted = "hanfu" if "from" in question else "kimono"
        number = next((number for number, option in listed.items() if option == wanted), "1")
        handler.send(json.dumps(completion(number)).encode())

    concepts, twins = tables()
    store = KeyedStore(tmp_path / "answers.sqlite")
    with chat_server(answer) as server:
        parameters = change_stage(
            "culture_instances",
            language_model={"servers": [server.url], "model": "small", "revision": "r1"},
            exclude={"concepts": ["Hanbok"], "cultures": [], "images": []},
        )
        first, metrics = ask_about_twins(concepts, twins, store, prompt.model_dump(mode="json"), parameters)
        asked = len(server.seen)
        again, _ = ask_about_twins(concepts, twins, store, prompt.model_dump(mode="json"), parameters)
        assert len(server.seen) == asked == metrics["usage"]["asked"]
    pd.testing.assert_frame_equal(CULTURE_INSTANCES.validate(first), again)
    assert set(first["concept_id"]) == {"kimono", "hanbok", "hanfu"}
    assert set(first.loc[first["concept_id"] == "hanbok", "hard_negative"].dropna()) == {"kimono from South Korea"}
