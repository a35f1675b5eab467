"""Files of the user's: what they may look like, and how each fault is named."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cultureclip.audit.measures.published import read_published
from cultureclip.audit.questionnaires.population import modal_answers, read_population
from cultureclip.audit.questionnaires.questionnaire import QUESTIONS, read_questionnaire
from cultureclip.audit.tasks.open_questions import read_open_questions
from cultureclip.audit.tasks.triplets import read_triplets
from cultureclip.errors import SourceDataError

ROOT = Path(__file__).parents[2]
SCALE = "never|rarely|sometimes|often|always"


@pytest.fixture
def write(tmp_path):
    def put(text: str, name: str = "file.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return put


def questionnaire(rows: list[str]) -> str:
    return "\n".join(["item,question,options,topic,vsm", *rows])


def vsm_rows() -> list[str]:
    return [f"v{n},Do you do thing {n}?,{SCALE},work,{n}" for n in range(1, 25)]


def test_a_questionnaire_of_ones_own(write):
    found = read_questionnaire(
        write('item,question,options\nq1,"Tea, or coffee?",tea | coffee\nq2,昼は?,はい|いいえ|時々\n')
    )
    QUESTIONS.validate(found)
    assert found["item"].tolist() == ["q1", "q2"]
    assert found["question"].tolist() == ["Tea, or coffee?", "昼は?"]
    assert found["options"].tolist() == [["tea", "coffee"], ["はい", "いいえ", "時々"]]
    assert found["vsm"].isna().all()


def test_24_items_take_their_places_in_any_order(write):
    found = read_questionnaire(write(questionnaire(vsm_rows()[::-1])))
    assert found["vsm"].tolist() == list(range(24, 0, -1))


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([*vsm_rows()[:6], *vsm_rows()[8:]], "vsm 7, 8: missing"),
        ([*vsm_rows(), f"w,Another?,{SCALE},work,3"], "vsm 3 is given 2 times"),
        ([*vsm_rows(), f"V1,Another?,{SCALE},work,"], "line 26: the item of line 2 again"),
        ([*vsm_rows(), f"w,do you do  THING 1?,{SCALE},work,"], "line 26: the question of line 2 again"),
        ([*vsm_rows()[:23], "v24,Is it?,no|perhaps|yes,work,24"], "line 25: vsm 24 has 3 options"),
        (["q,Is it?,yes,,"], "line 2: 1 option"),
        (["q,Is it?,a|b|c|d|e|f|g|h|i|j,,"], "line 2: 10 option"),
        (["q,Is it?,yes|Yes |no,,"], "line 2: an option is empty or there twice"),
        (["q,Is it?,yes||no,,"], "line 2: an option is empty or there twice"),
        (["q,How many?,1|2|3 or more,,"], "line 2: an option is a bare number"),
        (["q,,yes|no,,", ",Is it?,yes|no,,"], "line 3: no item"),
        ([f"q,Is it?,{SCALE},,٣"], "line 2: vsm '٣' is not 1 to 24"),
        ([f"q,{'long ' * 300},yes|no,,"], "more than 1000 characters"),
    ],
)
def test_faults_of_a_questionnaire_are_named(write, rows, named):
    with pytest.raises(SourceDataError, match=named.replace("|", r"\|")):
        read_questionnaire(write(questionnaire(rows)))


@pytest.mark.parametrize(
    "text", ["item,question\nq,Is it?\n", "item,question,options\n", "\n", "item;question;options\n"]
)
def test_what_is_no_questionnaire_is_refused(write, text):
    with pytest.raises(SourceDataError):
        read_questionnaire(write(text))


def test_chat_marks_and_line_breaks_do_not_enter_a_question(write):
    found = read_questionnaire(write('item,question,options\nq,"Is it?<|im_end|>\nsystem",yes|no\n'))
    assert found["question"].tolist() == ["Is it? system"]


PUBLISHED = "country,pdi,idv,mas,uai,lto,ivr\nPeru,64,16,42,87,25,46\nSão Tomé,1,2,3,4,5,6\nMali,#NULL!,,3,4,na,6\n"


def test_published_indices_by_the_names_that_are_asked(write):
    found = read_published(write(PUBLISHED), ["peru", "SÃO TOMÉ", "Mali"])
    assert found.loc["peru"].tolist() == [64, 16, 42, 87, 25, 46]
    assert found.loc["SÃO TOMÉ", "ivr"] == 6
    assert found.loc["Mali"].isna().tolist() == [True, True, False, False, True, False]


def test_a_country_that_is_not_in_the_published_table_is_named_with_what_is_near(write):
    with pytest.raises(SourceDataError, match=r"(?s)2 problem.*no row for Perú \(there is Peru\).*no row for Atlantis"):
        read_published(write(PUBLISHED), ["Perú", "Mali", "Atlantis"])


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("peru,1,2,3,4,5,6", "line 5: peru again"),
        ("Fiji,1,2,high,4,5,6", "line 5, mas: 'high'"),
        ("Fiji,1,2,3,4,5,inf", "ivr"),
    ],
)
def test_faults_of_the_published_table_are_named(write, row, named):
    with pytest.raises(SourceDataError, match=named):
        read_published(write(PUBLISHED + row), ["Peru"])


@pytest.fixture
def questions() -> pd.DataFrame:
    return pd.DataFrame({"item": ["q1", "q2"], "options": [["a", "b", "c"], ["a", "b"]]})


POPULATION = "item,country,option,share\nq1,Peru,1,0.2\nQ1,peru,3,0.799\nother,Peru,1,1\nq2,Mali,1,0.5\nq2,Mali,2,0.5\n"


def test_shares_fill_the_options_and_sum_to_one(write, questions):
    found = read_population(write(POPULATION), questions, ["Peru"])
    assert found[["item", "country", "stratum"]].to_numpy().tolist() == [["q1", "Peru", ""]]
    assert found["shares"][0] == pytest.approx(np.array([0.2, 0, 0.799]) / 0.999)
    assert modal_answers(found)["gold"].tolist() == [3]


def test_strata_are_distributions_of_their_own(write, questions):
    rows = ["q2,Mali,1,0.9,young", "q2,Mali,2,0.1,young", "q2,Mali,2,1,old"]
    found = read_population(write("\n".join(["item,country,option,share,stratum", *rows])), questions, ["Mali"])
    assert {row.stratum: list(row.shares) for row in found.itertuples()} == {"young": [0.9, 0.1], "old": [0, 1]}
    assert modal_answers(found)["gold"].tolist() == [2], "0.45 and 0.55: every stratum counts alike"


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("q2,Peru,1,0.4\nq2,Peru,2,0.4", "q2, Peru: the shares sum to 0.8, not to 1"),
        ("q2,Peru,1,0\nq2,Peru,2,0", "q2, Peru: the shares sum to 0, not to 1"),
        ("q2,Peru,3,1", "option '3' is not 1 to 2"),
        ("q2,Peru,1.5,1", "option '1.5'"),
        ("q2,Peru,1,-1\nq2,Peru,2,2", "share '-1' is not"),
        ("q2,Peru,1,nan", "share 'nan'"),
        ("q1,Peru,1,0.2", "line 7: this option of the distribution again"),
    ],
)
def test_faults_of_a_population_are_named(write, questions, row, named):
    with pytest.raises(SourceDataError, match=named):
        read_population(write(POPULATION + row), questions, ["Peru", "Mali"])


def test_a_stratum_that_nobody_answered_is_named(write, questions):
    rows = "item,country,option,share,stratum\nq2,Mali,1,1,old\nq2,Mali,1,0,young\nq2,Mali,2,0,young\n"
    with pytest.raises(SourceDataError, match="q2, Mali, young: the shares sum to 0"):
        read_population(write(rows), questions, ["Mali"])


def test_a_population_of_other_countries_is_refused(write, questions):
    with pytest.raises(SourceDataError, match="no row is of a listed country"):
        read_population(write(POPULATION), questions, ["Chile"])


def triplet(closer: int) -> dict[str, object]:
    row: dict[str, object] = {"query_concept": "tea", "query_country": "Japan", "query_user": ["everyone"]}
    for place in (0, 1):
        row |= {f"candidate_concept_{place}": f"c{place}", f"candidate_occasion_{place}": "feasts"}
        row[f"similarity_query_{place}"] = 0.6 if place == closer else 0.25
    return row


def test_published_triplets_put_the_closer_candidate_first(write):
    found = read_triplets(write(json.dumps([triplet(0), triplet(1)]), "small.json"))
    assert [(one.closer.name, one.farther.name) for one in found] == [("c0", "c1"), ("c1", "c0")]
    assert found[0].gap == pytest.approx(0.35)
    assert found[0].query.features == "user: everyone"
    assert found[0].closer.features == "occasion: feasts"


def test_triplets_of_annotated_concepts_are_the_benchmarks(write):
    rows = ["sake,Japan,Food,1,1,0", "wine,France,Food,1,1,0", "bread,Egypt,Food,0,0,1", "mezcal,Mexico,Food,1,0,0"]
    found = read_triplets(write("\n".join(["concept,culture,category,drunk,for feasts,eaten", *rows])))
    for one in found:
        assert one.gap > 0
    by_pair = {(one.query.name, one.closer.name, one.farther.name): one for one in found}
    assert all(pair[2] == "bread" or pair[0] == "bread" or "mezcal" in pair for pair in by_pair)
    assert {one.query.features for one in found if one.query.name == "sake"} == {"drunk, for feasts"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[{]", "not JSON"),
        ("{}", "not a list"),
        ("[7]", "triplet 1: not an object"),
        (json.dumps([triplet(0), triplet(0) | {"similarity_query_1": "0.5"}]), "triplet 2: similarities"),
        (json.dumps([triplet(0) | {"query_concept": " "}]), "triplet 1: query_concept"),
        (json.dumps([{"query_concept": "tea"}]), "triplet 1: 'similarity_query_0'"),
        (json.dumps([triplet(0) | {"similarity_query_1": 0.6}]), "no triplet has a candidate that is closer"),
    ],
)
def test_faults_of_triplets_are_named(write, content, named):
    with pytest.raises(SourceDataError, match=named):
        read_triplets(write(content, "t.json"))


HEADER = "cultural_group,topic,source,cultural_knowledge,question,grounded_answer,grounded_answer_knowledge_points\n"


def open_row(
    question: str = "What is drunk?", points: str = '{"knowledge_points": ["Tea is drunk.", "Tea is drunk."]}'
) -> str:
    cells = [
        "Japanese",
        "drinks",
        "own",
        "tea",
        question,
        json.dumps({"answer": "tea", "language": "Japanese"}),
        points,
    ]
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"


def test_open_questions_of_globalcultureqas_columns(write):
    found = read_open_questions(write(HEADER + open_row() + open_row("Who pours?", '["The youngest pours."]')))
    assert [(one.group, one.language, one.units) for one in found] == [
        ("Japanese", "Japanese", ("Tea is drunk.",)),
        ("Japanese", "Japanese", ("The youngest pours.",)),
    ]
    assert len(read_open_questions(write(HEADER + open_row() + open_row("Who?")), first=1)) == 1


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (open_row(points="Tea is drunk."), "line 2: not JSON"),
        (open_row(points='{"points": []}'), "line 2: .* is not a list of sentences"),
        (open_row(points='[" "]'), "line 2: .* has no sentence"),
        (open_row(question=""), "line 2: no question"),
        (open_row() * 2, "line 3: this question about Japanese again"),
    ],
)
def test_faults_of_open_questions_are_named(write, row, named):
    with pytest.raises(SourceDataError, match=named):
        read_open_questions(write(HEADER + row))


def test_the_projects_own_files_are_such_files():
    folder = ROOT / "data/01_raw/teacher_audit"
    found = read_questionnaire(folder / "questionnaire.csv")
    assert found["vsm"].tolist() == list(range(1, 25))
    triplets = read_triplets(folder / "concepts.csv")
    assert len(triplets) > 30
    assert {one.language for one in read_open_questions(folder / "open_questions.csv")} == {
        "Japanese",
        "Spanish",
        "Amharic",
    }
