"""Top-down: a served model names concepts, well or badly; an answer becomes concepts, a reason or another question."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cultureclip.concepts.gather import Gathered, gather_concepts
from cultureclip.concepts.proposals import (
    COPIED,
    NO_FEATURES,
    NOT_DEPICTABLE,
    OTHER_CATEGORY,
    OTHER_CULTURE,
    Cell,
    Known,
    find_problem,
    read_top_down_prompt,
    useful_features,
)
from cultureclip.concepts.regions import is_region, list_countries, region_name
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Material
from cultureclip.concepts.sources.tally import GENERIC, REPEATED
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError, ServerError, SourceDataError
from cultureclip.tables import CONCEPTS
from tests.concepts.sources.support import MERGING, check_counts, dropped, read_source
from tests.support.chat_server import Behaviour, chat_server, completion

PROMPTS = {
    env: yaml.safe_load((Path(__file__).parents[3] / f"conf/{env}/prompts/top_down.yml").read_text(encoding="utf-8"))
    for env in ("base", "paper")
}
Answer = Callable[[dict[str, Any], int], str]
GOOD = {"name": "yukata", "context": "The yukata is a light robe.", "features": ["cotton cloth", "wide sleeves"]}


def concept(name: str, **changes: Any) -> dict[str, Any]:
    return GOOD | {"name": name, "context": f"The {name} is worn."} | changes


def names(*concepts: dict[str, Any]) -> str:
    return json.dumps({"concepts": concepts})


def serve(answer: Answer, **reply: Any) -> Behaviour:
    """A server that answers by the body of the request, and by how often that question was asked."""
    seen: dict[str, int] = {}

    def behave(handler: Any, body: dict[str, Any]) -> None:
        question = body["messages"][-1]["content"]
        with handler.server.lock:
            seen[question] = seen.get(question, 0) + 1
            number = seen[question]
        handler.send(json.dumps(completion(answer(body, number), **reply)).encode())

    return behave


def mine(url: str, folder: Path, prompt: str = "base", **changes: Any) -> Gathered:
    model = {"servers": [url], "model": "small", "revision": "1", "retries": 0}
    asked = {"kind": "top_down", "language_model": model, "regions": ["JP"], "categories": ["Clothing"]}
    source = read_source(**asked | {"concepts": 2, "questions": 1, "licence": "MIT"} | changes)
    material = Material("", KeyedStore(folder / "answers.sqlite"), read_top_down_prompt(PROMPTS[prompt]))
    gathered = gather_concepts([source], material, MERGING)
    check_counts(gathered)
    CONCEPTS.validate(gathered.concepts)
    return gathered


def mine_answer(answer: str, folder: Path, **changes: Any) -> Gathered:
    """Mine Japan's clothing from one answer; the answer for France is good, so that there is a concept."""

    def reply(body: dict[str, Any], _: int) -> str:
        return names(concept("marinière")) if "France" in body["messages"][-1]["content"] else answer

    with chat_server(serve(reply)) as server:
        return mine(server.url, folder, regions=["JP", "FR"], **changes)


def test_an_answer_becomes_concepts_with_their_facts(tmp_path: Path) -> None:
    gathered = mine_answer(names(GOOD, concept("haori jacket")), tmp_path)
    rows = gathered.concepts.set_index("name")
    assert list(rows.index) == ["yukata", "haori jacket", "marinière"]
    assert rows.loc["yukata", "cultures"] == ["JP"]
    assert rows.loc["yukata", "key_visual_features"] == ["cotton cloth", "wide sleeves"]
    assert rows.loc["haori jacket", "universal"] == "jacket"
    assert rows.loc["yukata", "source_ref"].startswith("small, prompt ")
    assert rows["reference_image"].isna().all()
    assert gathered.report["sources"][0]["usage"]["asked"] == 2


BAD_ANSWERS = [
    "Japan has many kinds of clothing, such as the kimono.",
    "I'm sorry, but I can't help with that.",
    "",
    "[]",
    names(),
    names(*[concept(f"robe {n}") for n in range(500)]),
    f"Sure! {names(GOOD)}",
    names(GOOD) + names(GOOD),
    names(GOOD | {"colour": "blue"}),
    names({"name": "yukata"}),
    names(GOOD | {"name": 7}),
    names(GOOD | {"features": "cotton cloth"}),
    '{"concepts": [], "concepts": []}',
    names(GOOD)[:-9],
    names(GOOD).replace("light", "li\ufffdht"),
    "[" * 50_000,
]


def test_an_answer_of_another_form_is_asked_again_then_counted(tmp_path: Path) -> None:
    answers = dict(zip(list_countries(), BAD_ANSWERS, strict=False))

    def reply(body: dict[str, Any], _: int) -> str:
        region = body["messages"][-1]["content"].removeprefix("Clothing of ")
        return next((text for code, text in answers.items() if region_name(code) == region), names(GOOD))

    with chat_server(serve(reply)) as server:
        gathered = mine(server.url, tmp_path, regions=[*answers, "JP"], tries=3, max_new_tokens=8192)
    assert list(gathered.concepts["name"]) == ["yukata"]
    assert dropped(gathered) == {"answer of another form": len(BAD_ANSWERS)}
    report = gathered.report["sources"][0]
    assert (report["usage"]["asked"], report["usage"]["failed"]) == (3 * len(BAD_ANSWERS) + 1, len(BAD_ANSWERS))
    assert sum(report["not_understood"]["answer"].values()) == len(BAD_ANSWERS)
    assert any("at most 50" in cause for cause in report["not_understood"]["answer"])


@pytest.mark.parametrize(
    ("reply", "reason"),
    [({"finish": "length"}, "answer cut off"), ({"refusal": "No."}, "the model declined to answer")],
)
def test_refusals_and_cut_answers_have_their_own_reason(tmp_path: Path, reply: dict[str, Any], reason: str) -> None:
    with (
        chat_server(serve(lambda *_: names(GOOD), **reply)) as server,
        pytest.raises(SourceDataError, match=f"not one of 1 rows is a concept \\(1 {reason}"),
    ):
        mine(server.url, tmp_path)


BAD_PROPOSALS = [
    (concept("Yukata"), REPEATED),
    (concept("yukatas"), REPEATED),
    (concept("kilt"), COPIED),
    (concept("traditional Japanese clothing"), GENERIC),
    (concept("obi", features=["obi", "an obi", "the obi"]), NO_FEATURES),
    (concept("hanbok", context="The hanbok is a dress of South Korea."), OTHER_CULTURE),
    (concept("miso soup"), OTHER_CATEGORY),
    (concept("<script>alert(1)</script>"), "name has characters that no name may have"),
    (concept("x" * 200), "name is too long"),
    (concept("???"), "no name"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_PROPOSALS)
def test_a_proposal_that_is_no_concept_has_its_reason(bad: dict[str, Any], reason: str) -> None:
    found = Found(
        place="x",
        name=bad["name"],
        countries=("JP",),
        category="Clothing",
        ref="x",
        context=bad["context"],
        features=useful_features(bad["name"], bad["features"]),
    )
    prompt = read_top_down_prompt(PROMPTS["base"])
    assert find_problem(found, Cell("JP", "Clothing"), Known(["yukata"]), prompt) == reason


def test_proposals_that_are_no_concepts_are_counted_by_reason(tmp_path: Path) -> None:
    gathered = mine_answer(names(GOOD, *(bad for bad, _ in BAD_PROPOSALS)), tmp_path)
    assert dropped(gathered) == Counter(reason for _, reason in BAD_PROPOSALS)
    assert list(gathered.concepts["name"]) == ["yukata", "marinière"]


def test_things_of_an_example_may_be_named_for_its_own_region(tmp_path: Path) -> None:
    kilt = concept("kilt", context="The kilt is a skirt of men in Scotland.")
    with chat_server(serve(lambda *_: names(kilt))) as server:
        assert list(mine(server.url, tmp_path, regions=["GB-SCT"]).concepts["name"]) == ["kilt"]


def test_a_cell_that_lacks_concepts_is_asked_again_and_told_what_it_named(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], _: int) -> str:
        more = "already: yukata" in body["messages"][-1]["content"]
        return names(GOOD, concept("haori")) if more else names(GOOD)

    with chat_server(serve(reply)) as server:
        gathered = mine(server.url, tmp_path, "paper", questions=5)
        questions = [body["messages"][-1]["content"] for *_, body in server.seen]
    assert list(gathered.concepts["name"]) == ["yukata", "haori"]
    assert dropped(gathered) == {REPEATED: 1}
    assert [question[:15] for question in questions] == ["Name 2 concepts", "Name 1 concepts"]


def test_a_model_is_asked_about_each_concept(tmp_path: Path) -> None:
    said = {"haori": (False, True, True), "obi": (True, False, True), "zori": (True, True, False)}

    def reply(body: dict[str, Any], _: int) -> str:
        question = body["messages"][-1]["content"]
        if not question.startswith("Someone named"):
            return names(GOOD, *map(concept, [*said, "geta"]))
        name = question.split("Name: ")[1].split("\n")[0]
        if name == "geta":
            return "I think so."
        opinion = said.get(name, (True, True, True))
        return json.dumps(dict(zip(("depictable", "of_culture", "of_category"), opinion, strict=True)))

    with chat_server(serve(reply)) as server:
        checker = {"servers": [server.url], "model": "small", "revision": "2", "retries": 0}
        gathered = mine(server.url, tmp_path, "paper", checker=checker)
    assert list(gathered.concepts["name"]) == ["yukata"]
    counts = {NOT_DEPICTABLE: 1, OTHER_CULTURE: 1, OTHER_CATEGORY: 1, "the question about it got no answer": 1}
    assert dropped(gathered) == counts


def test_one_thing_of_two_regions_is_one_concept_of_both(tmp_path: Path) -> None:
    with chat_server(serve(lambda *_: names(GOOD))) as server:
        gathered = mine(server.url, tmp_path, regions=["JP", "KR", "JP"])
    assert gathered.concepts["cultures"].tolist() == [["JP", "KR"]]


def test_answers_that_came_before_a_stop_are_not_asked_again(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], _: int) -> str:
        return names(concept(f"robe of {body['messages'][-1]['content'].split()[-1]}"))

    regions = ["JP", "FR", "MX", "IN"]
    with chat_server(serve(reply)) as server:
        whole = mine(server.url, tmp_path / "whole", regions=regions)
    failing = {"left": 2}

    def fail_after_two(handler: Any, body: dict[str, Any]) -> None:
        with handler.server.lock:
            failing["left"] -= 1
            dead = failing["left"] < 0
        handler.send(b"{}" if dead else json.dumps(completion(reply(body, 1))).encode(), 401 if dead else 200)

    one_at_a_time = {"servers": ["http://x"], "model": "small", "revision": "1", "retries": 0, "concurrency": 1}
    with chat_server(fail_after_two) as server:
        model = one_at_a_time | {"servers": [server.url]}
        with pytest.raises(ServerError):
            mine(server.url, tmp_path / "cut", regions=regions, language_model=model)
        failing["left"] = 99
        resumed = mine(server.url, tmp_path / "cut", regions=regions, language_model=model)
    assert resumed.concepts.equals(whole.concepts)
    assert resumed.report["sources"][0]["usage"]["asked"] == 2
    assert resumed.report["sources"][0]["usage"]["kept"] == 2


def test_what_is_asked_by_default() -> None:
    source = read_source(kind="top_down", licence="MIT", language_model={"path": "x"})
    cells = source.cells()  # type: ignore[attr-defined]
    assert len(cells) == 8 * len(list_countries()) == 8 * 245
    assert all(map(is_region, list_countries()))
    assert not {"AQ", "BV", "HM", "TF"} & set(list_countries())


@pytest.mark.parametrize("change", [{"regions": ["XX"]}, {"categories": ["Food"]}, {"regions": []}, {"concepts": 0}])
def test_wrong_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read_source(**{"kind": "top_down", "licence": "MIT", "language_model": {"path": "x"}} | change)


def test_a_prompt_without_a_template_is_refused_before_any_question() -> None:
    prompt = PROMPTS["base"] | {"templates": {"propose": "{category} of {regions}"}}
    with pytest.raises(ConfigurationError, match="prompt top_down"):
        read_top_down_prompt(prompt)


def test_a_source_without_a_store_says_so() -> None:
    source = read_source(
        kind="top_down", licence="MIT", language_model={"servers": ["http://x"], "model": "m", "revision": "1"}
    )
    with pytest.raises(ConfigurationError, match="no store or no prompt"):
        gather_concepts([source], Material(""), MERGING)
