"""The survey: what is asked, in how many ways, and models that always do the same."""

import re

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cultureclip.audit.culture_summary import (
    summarise_alignment,
    summarise_change,
    summarise_distances,
    summarise_indices,
)
from cultureclip.audit.measures.awareness import pair_answers, select_instances
from cultureclip.audit.measures.distances import DISTANCES, compare_answers
from cultureclip.audit.measures.hofstede import INDICES, IndexSettings
from cultureclip.audit.questionnaires.answers import ANSWERS
from cultureclip.audit.questionnaires.population import POPULATION_COLUMNS
from cultureclip.audit.questionnaires.survey import ask_survey, count_questions
from cultureclip.audit.settings import SurveySettings
from cultureclip.audit.summary import summarise_answers
from cultureclip.models.chat.request import Answer

NO_TABLE = pd.DataFrame()


def settings(**changes) -> SurveySettings:
    given = {"questionnaire": "q.csv", "countries": ["Peru", "Mali"], "personas": {"everyone": "a person"}}
    return SurveySettings.model_validate(given | changes)


def survey(questions: pd.DataFrame, chosen: SurveySettings, asker) -> pd.DataFrame:
    return ask_survey(questions, dict.fromkeys(questions["item"], chosen.countries), chosen, asker)


def by_text(wanted) -> object:
    """Answer with the number under which a wanted option is listed, whatever the order."""

    def answer(question: str) -> str:
        listed = dict(re.findall(r"^(\d)\. (.*)$", question, re.MULTILINE))
        country = next((name for name in ("Peru", "Mali") if f"from {name}" in question), "")
        return next(number for number, option in listed.items() if option == wanted(country, list(listed.values())))

    return answer


def test_every_question_is_asked_in_every_way_and_nothing_twice(make_asker, questions):
    asker = make_asker(lambda question: "1")
    chosen = settings(personas={"young": "a young person", "old": "an old person"}, repeats=3)
    answers = survey(questions, chosen, asker)
    ANSWERS.validate(answers)
    # 25 questions, two countries with two personas and nobody, two wordings, two orders, three repeats
    assert (
        len(answers)
        == count_questions(questions, dict.fromkeys(questions["item"], chosen.countries), chosen, 2)
        == 25 * 5 * 2 * 2 * 3
    )
    assert len(asker.model.asked) == len(answers)
    assert len({request.key("m") for request in asker.model.asked}) == len(answers)
    texts = [request.turns[-1].text for request in asker.model.asked]
    assert sum("an old person from Peru" in text for text in texts) == 25 * 12
    again = survey(questions, chosen, asker)
    assert len(asker.model.asked) == len(answers), "a second survey asks nothing"
    pd.testing.assert_frame_equal(again, answers)


def test_an_option_is_the_same_in_either_order(make_asker, questions):
    last = by_text(lambda country, options: max(options))  # "e" of each scale, "yes" of the odd one
    answers = survey(questions, settings(), make_asker(last))
    assert (answers["option"] == answers["options"]).all()
    habits = summarise_answers(answers)["habits"]
    assert habits["option"] == {"number": 5, "share": 24 / 25}
    assert habits["place"]["share"] == pytest.approx(0.5, abs=0.02), "last in one order and first in the other"


def test_a_model_that_always_takes_the_first_place_is_told_from_one_that_takes_an_option(make_asker, questions):
    summary = summarise_answers(survey(questions, settings(), make_asker(lambda question: "1")))
    assert summary["habits"]["place"] == {"number": 1, "share": 1}
    assert summary["habits"]["option"]["share"] < 0.6


def test_a_model_that_always_answers_three(make_asker, questions):
    answers = survey(questions, settings(), make_asker(lambda question: "3"))
    found = summarise_indices(answers, questions, NO_TABLE, IndexSettings())
    assert {row["value"] for row in found["indices"]} == {0}
    assert {row["low"] for row in found["indices"]} == {None}
    published = pd.DataFrame({name: [10.0, 20.0] for name in INDICES}, index=["Peru", "Mali"])
    ranked = summarise_indices(answers, questions, published, IndexSettings())
    assert {found["value"] for found in ranked["tau"].values()} == {None}
    changes = summarise_change(select_instances(pair_answers(answers)))
    assert changes["selected"] == 0
    # the third of three options is another one when the list is reversed: never a change between people
    assert changes["reasons"] == {"same_answer": 25 * 2 * 8}
    assert changes["changed"]["value"] == 0 < changes["changed"]["high"]


def test_no_population_is_a_table_of_distances_without_rows(make_asker, questions):
    answers = survey(questions, settings(), make_asker(lambda question: "1"))
    nobody = population(answers, lambda item, size: np.full(size, 1 / size)).head(0)
    assert DISTANCES.validate(compare_answers(answers, nobody, 0.5, 0)).empty


def test_a_model_that_always_refuses(make_asker, questions):
    answers = survey(questions, settings(refusals=["I cannot"]), make_asker(lambda question: "I cannot say."))
    summary = summarise_answers(answers)
    assert summary["refused"]["value"] == 1
    assert 0.8 < summary["refused"]["low"] < 1
    assert summary["why_not"] == {"refused": len(answers), "cut_off": 0, "out_of_range": 0, "unparsable": 0}
    assert summary["habits"] == {"option": None, "place": None}
    found = summarise_indices(answers, questions, NO_TABLE, IndexSettings())
    assert {row["value"] for row in found["indices"]} == {None}
    changes = summarise_change(select_instances(pair_answers(answers)))
    assert changes["changed"] is changes["beyond_chance"] is None
    people = population(answers, lambda item, size: np.full(size, 1 / size))
    assert summarise_alignment(answers, people)["means"] == {"aware": None, "unaware": None}
    distances = compare_answers(answers, people, 0.5, 0)
    assert set(distances["why_not"]) == {"no_answer"}
    assert summarise_distances(distances)["means"]["aware"]["js"] is None


def population(answers: pd.DataFrame, shares, stratum: str = "", countries=("Peru", "Mali")) -> pd.DataFrame:
    sizes = answers.drop_duplicates("item").set_index("item")["options"]
    rows = [(item, country, stratum, shares(item, size)) for country in countries for item, size in sizes.items()]
    return pd.DataFrame(rows, columns=POPULATION_COLUMNS)


def test_a_model_that_answers_as_the_people_do_is_aligned_and_near(make_asker, questions):
    as_people = by_text(lambda country, options: max(options) if country == "Peru" else min(options))
    answers = survey(questions, settings(), make_asker(as_people))
    # "yes" is the last option of the odd question and the largest text, "no" its first and smallest
    people = population(answers, lambda item, size: np.eye(size)[-1], countries=("Peru",))
    aligned = summarise_alignment(answers, people)
    assert aligned["countries"][0]["aware"]["value"] == 1
    assert aligned["countries"][0]["unaware"]["value"] == 0
    assert aligned["rules"]["middle"] == pytest.approx(0.5)
    means = summarise_distances(compare_answers(answers, people, 0.5, 0))["means"]
    assert means["aware"]["js"]["value"] == means["aware"]["floor"] == 0
    assert means["unaware"]["js"]["value"] == pytest.approx(np.sqrt(np.log(2)))
    changes = summarise_change(select_instances(pair_answers(answers)))
    by_country = {row["country"]: row["beyond_chance"]["value"] for row in changes["countries"]}
    assert by_country == {"Peru": 1, "Mali": 0}
    assert changes["selected"] == 25 * 8


def test_strata_are_compared_with_their_own_people(make_asker, questions):
    def answer(question: str) -> str:
        return "1" if "a young person" in question else "2"

    chosen = settings(
        personas={"young": "a young person", "old": "an old person"}, orders=["given"], countries=["Peru"]
    )
    answers = survey(questions, chosen, make_asker(answer))
    tables = [
        population(answers, lambda item, size, place=place: np.eye(size)[place], stratum, countries=("Peru",))
        for stratum, place in (("young", 0), ("old", 1), ("rich", 0), ("", 0))
    ]
    distances = compare_answers(answers, pd.concat(tables), 0.5, 0)
    found = distances[distances["mode"] == "aware"].groupby("stratum")["js"].mean()
    assert found["young"] == found["old"] == 0
    assert found[""] > 0.3, "everyone is half young"
    assert np.isnan(found["rich"])
    rich = distances[distances["stratum"] == "rich"]
    assert set(rich["why_not"]) == {"not_asked"}


def test_a_country_that_only_refuses_is_left_out_and_counted(make_asker, questions):
    def answer(question: str) -> str | Answer:
        return Answer(text="", finish="refused") if "from Mali" in question else "2"

    answers = survey(questions, settings(), make_asker(answer))
    people = population(answers, lambda item, size: np.full(size, 1 / size))
    strata = {
        (row["country"], row["mode"]): row
        for row in summarise_distances(compare_answers(answers, people, 1, 0))["strata"]
    }
    assert strata[("Mali", "aware")]["compared"] == 0
    assert strata[("Mali", "aware")]["why_not"] == {"no_answer": 25}
    assert strata[("Peru", "aware")]["compared"] == 25
    alignment = summarise_alignment(answers, people)
    assert [row["aware"] is None for row in alignment["countries"]] == [False, True]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"countries": ["Peru", "Peru"]}, "'Peru' is listed 2 times"),
        ({"countries": []}, "at least 1"),
        ({"countries": [" "]}, "countries.0"),
        ({"personas": {}}, "personas"),
        ({"temperature": 0}, "repeats at temperature 0"),
        ({"smoothing": 0}, "smoothing"),
        ({"indices": {"mas_second_weight": 30}}, "mas_second_weight"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, named):
    with pytest.raises(ValidationError, match=named):
        settings(**changes)
