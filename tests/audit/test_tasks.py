"""The tasks beside the survey, asked of models whose answers are known."""

import json
import re

import pytest

from cultureclip.audit.questionnaires.prompts import read_audit_prompt
from cultureclip.audit.settings import KnowledgeSettings, MatchingSettings
from cultureclip.audit.summary import summarise_knowledge, summarise_matches
from cultureclip.audit.tasks.knowledge_task import ask_open_questions
from cultureclip.audit.tasks.matching import Thing, Triplet
from cultureclip.audit.tasks.matching_task import ask_matches
from cultureclip.audit.tasks.open_questions import OpenQuestion
from cultureclip.errors import ConfigurationError
from cultureclip.models.chat.request import Answer
from tests.support.tiny_clip import write_tiny_clip

NAMES = ["mochi", "rice cake", "candle", "lamp", "boat"]
THINGS = {name: Thing(name, "", f"for {name}s") for name in NAMES}
TRIPLETS = [
    Triplet(THINGS["mochi"], THINGS["rice cake"], THINGS["boat"], 0.8),
    Triplet(THINGS["candle"], THINGS["lamp"], THINGS["mochi"], 0.2),
]


def test_a_model_that_knows_is_right_in_both_orders(make_asker, tmp_path):
    def knows(question: str) -> str:
        first = re.search(r"^A: (.*)$", question, re.MULTILINE)[1]
        return "A > B" if first.split(" (")[0] in ("rice cake", "lamp") else "A < B"

    tower = str(write_tiny_clip(tmp_path / "clip"))
    asker = make_asker(knows)
    found = ask_matches(TRIPLETS, MatchingSettings(file="t.csv", text_tower=tower), asker)
    assert len(asker.model.asked) == 2 * 2 * 2
    assert any("rice cake (for rice cakes)" in request.turns[-1].text for request in asker.model.asked)
    assert found["credit"].tolist() == [1] * 4
    assert found["text_tower"].isin([0, 0.5, 1]).all()
    summary = summarise_matches(found)["shown"]["names"]
    assert summary["accuracy"]["value"] == 1
    assert summary["first"] == 0.5
    assert summary["difference"]["value"] == pytest.approx(1 - found["text_tower"][:2].mean(), abs=0.51)
    assert summary["bands"]["middle"] == {"triplets": 0, "accuracy": None}


def test_a_model_that_takes_the_first_place_is_half_right(make_asker):
    found = ask_matches(TRIPLETS, MatchingSettings(file="t.csv", shown=["names"]), make_asker(lambda question: "A > B"))
    summary = summarise_matches(found)["shown"]["names"]
    assert (summary["accuracy"]["value"], summary["first"], summary["text_tower"]) == (0.5, 1, None)


def test_answers_of_another_form_are_in_no_share(make_asker):
    found = ask_matches(TRIPLETS, MatchingSettings(file="t.csv"), make_asker(lambda question: "the first one"))
    summary = summarise_matches(found)["shown"]["features"]
    assert (summary["accuracy"], summary["read"], summary["first"]) == (None, 0, None)


QUESTION = OpenQuestion("Japanese", "food", "Japanese", "What is eaten?", ("Noodles are eaten.", "They are long."))


def judging(units: list[str] | str, critique: str = "長い麺のことが書かれていません。"):
    """A model that says what its question has in common with it, and judges by equal texts."""

    def answer(question: str) -> str | Answer:
        if "Statement:" in question:
            facts, _, statement = question.partition("Statement: ")
            return "Yes" if f"- {statement.split(chr(10))[0]}\n" in facts else "No."
        if "as JSON" in question:
            return json.dumps({"knowledge_points": units}) if isinstance(units, list) else units
        if "Criticise" in question:
            return critique
        return "Noodles are eaten. They are black."

    return answer


def test_units_are_judged_against_the_other_side(make_asker):
    asker = make_asker(judging(["Noodles are eaten.", "They are black.", "They are cold."]))
    answers, units = ask_open_questions([QUESTION], KnowledgeSettings(file="o.csv"), asker, asker)
    row = answers.iloc[0]
    assert (row["precision"], row["recall"]) == (pytest.approx(1 / 3), 0.5)
    assert (row["units"], row["known"], row["unread"], row["why_not"]) == (3, 2, 0, None)
    assert units[["side", "holds"]].to_numpy().tolist() == [
        *(["answer", True], ["answer", False], ["answer", False], ["known", True], ["known", False])
    ]
    critique = next(r.turns[-1].text for r in asker.model.asked if "Criticise" in r.turns[-1].text)
    assert "Not supported: They are black. They are cold." in critique
    assert "Missing: They are long." in critique
    assert "Write in Japanese" in critique
    assert bool(row["critique_in_language"])


def test_a_critique_in_english_is_told(make_asker):
    asker = make_asker(judging(["Noodles are eaten."], critique="The answer does not say why they are eaten at all."))
    answers, _ = ask_open_questions([QUESTION], KnowledgeSettings(file="o.csv"), asker, asker)
    assert not answers.iloc[0]["critique_in_language"]
    summary = summarise_knowledge(answers)
    assert (summary["critiques"], summary["in_language"], summary["language_told"]) == (1, 0, 1)


@pytest.mark.parametrize(
    ("said", "why", "recall"),
    [("no JSON", "no_units", None), ('{"knowledge_points": [""]}', None, 0.0)],
)
def test_answers_without_units(make_asker, said, why, recall):
    asker = make_asker(judging(said))
    answers, units = ask_open_questions([QUESTION], KnowledgeSettings(file="o.csv", tries=1), asker, asker)
    row = answers.iloc[0].to_dict()
    assert (row["why_not"], len(units)) == (why, 0)
    assert row["recall"] == recall or (recall is None and row["recall"] != row["recall"])
    assert summarise_knowledge(answers)["precision"] is None


def test_a_model_that_says_nothing_is_not_judged(make_asker):
    asker = make_asker(lambda question: Answer(text="", finish="refused"))
    answers, _ = ask_open_questions([QUESTION], KnowledgeSettings(file="o.csv"), asker, asker)
    assert answers.iloc[0][["why_not", "critique"]].tolist() == ["no_answer", ""]
    assert len(asker.model.asked) == 1
    assert summarise_knowledge(answers)["f1"] is None


def test_an_unread_judgement_is_counted(make_asker):
    def vague(question: str) -> str:
        return "It depends" if "Statement:" in question else judging(["Noodles are eaten."])(question)

    asker = make_asker(vague)
    answers, _ = ask_open_questions([QUESTION], KnowledgeSettings(file="o.csv"), asker, asker)
    assert answers.iloc[0]["unread"] == 3
    assert answers["f1"].isna().all()


def test_prompts_that_cannot_be_asked_with_are_refused(prompt):
    content = prompt.model_dump(mode="json") | {"examples": []}
    templates = content["templates"]
    bare = {name: text for name, text in templates.items() if not name.startswith("survey_")}
    for changed, named in (
        (bare, "no wording of a survey question"),
        (templates | {"survey_odd": "{speaker} {question}"}, r"survey_odd: it does not show \{options\}"),
        (templates | {"speaker_aware": "You are {persona}."}, r"it does not show \{country\}"),
        (templates | {"survey_odd": "{speaker} {question} {options} {age}"}, "no field 'age'"),
        (templates | {"other": "?"}, "templates are"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            read_audit_prompt(content | {"templates": changed})
    with pytest.raises(ConfigurationError):
        read_audit_prompt("text")
