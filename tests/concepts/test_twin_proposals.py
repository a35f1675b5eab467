"""Twins that a language model names are checked like all others; the released way checks nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from cultureclip.concepts.proposed_twins import NO_PICTURE, add_proposals
from cultureclip.concepts.reviews import settle
from cultureclip.concepts.settings import TwinSettings
from cultureclip.concepts.twin_proposals import (
    NO_ANSWER,
    NO_FEATURES,
    SAME_CULTURE,
    SAME_THING,
    TWIN_PROPOSALS,
    TwinProposals,
    TwinProposalSettings,
    propose_twins,
    read_twins_prompt,
)
from cultureclip.concepts.twins import match_twins
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.ids import concept_id, twin_id
from cultureclip.models.chat.open import open_chat_model
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.tables import CONCEPTS, TWIN_REVIEWS, TWINS, make_table
from tests.concepts.test_twins import embed_words
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import change_stage

CONF = Path(__file__).parents[2] / "conf"
THINGS = {"kimono": "JP", "hanbok": "KR", "kilt": "GB-SCT", "sari": "IN", "yukata": "JP"}
SAYS = {  # what the model says of each
    "kimono": {"name": "Hanbok", "culture": "South Korea"},
    "hanbok": {"name": "áo dài", "culture": "Vietnam"},
    "kilt": {"name": "kilt", "culture": "Ireland"},
    "sari": {"name": "yukata", "culture": "Japan"},
    "yukata": {"name": "kimono", "culture": "Japan"},
}


def concepts() -> pd.DataFrame:
    rows = [
        {
            "concept_id": concept_id(name, [culture], "Clothing"),
            "name": name,
            "cultures": [culture],
            "universal": "garment",
            "category": "Clothing",
            "context": f"The {name} is worn.",
            "key_visual_features": [f"cut of the {name}", "long cloth"],
            "source": "x",
            "source_ref": "x",
            "aliases": [],
            "licence": "MIT",
            "terms": "train",
            "reference_image": f"{name}.png",
        }
        for name, culture in THINGS.items()
    ]
    return pd.DataFrame(rows)


def propose(folder: Path, says: dict[str, Any] | None = None, *as_released: int) -> tuple[TwinProposals, list[str]]:
    facts = {"context": "It is a garment.", "features": ["wide sleeves", "high waist"]}
    said = {
        name: json.dumps(answer | {k: v for k, v in facts.items() if k not in answer}) for name, answer in SAYS.items()
    }
    said |= {name: text if isinstance(text, str) else json.dumps(facts | text) for name, text in (says or {}).items()}

    def behave(handler: Any, body: dict[str, Any]) -> None:
        name = body["messages"][-1]["content"].split(" of ")[0]
        handler.send(json.dumps(completion(said[name])).encode())

    with chat_server(behave) as server:
        settings = proposal_settings(server.url, *as_released)
        model = open_chat_model(settings.language_model)
        prompt = read_twins_prompt(yaml.safe_load((CONF / "base/prompts/twins.yml").read_text(encoding="utf-8")))
        proposed = propose_twins(concepts(), model, KeyedStore(folder / "a.sqlite"), prompt, settings)
        questions = [json.dumps(body["messages"]) for *_, body in server.seen]
    TWIN_PROPOSALS.validate(proposed.proposals)
    CONCEPTS.validate(proposed.concepts)
    return proposed, questions


def proposal_settings(url: str, *as_released: int) -> TwinProposalSettings:
    model = {"servers": [url], "model": "small", "revision": "1", "retries": 0}
    return TwinProposalSettings.model_validate(
        {"language_model": model, "licence": "MIT", "tries": 1, "as_released": as_released}
    )


def by_name(proposed: TwinProposals) -> pd.DataFrame:
    names = proposed.concepts.set_index("concept_id")["name"]
    return proposed.proposals.assign(
        a=proposed.proposals["a_concept_id"].map(names), b=proposed.proposals["b_concept_id"].map(names)
    ).set_index("a")


def match(proposed: TwinProposals, settings: TwinProposalSettings) -> pd.DataFrame:
    mining = change_stage("mining", twins={"min_visual_similarity": 0.5, "neighbours": 1})
    assert isinstance(mining, MiningParameters)
    twins: TwinSettings = mining.twins
    pictured = proposed.concepts[proposed.concepts["reference_image"].notna()].reset_index(drop=True)
    angles = {"kimono": 0.0, "hanbok": 0.5, "yukata": 0.05, "sari": 1.5, "kilt": 0.1}
    looks = np.array([[np.cos(angles[n]), np.sin(angles[n])] for n in pictured["name"]], np.float32)
    contexts = np.eye(len(pictured), dtype=np.float32)
    ends = list(proposed.proposals[["a_concept_id", "b_concept_id"]].dropna().itertuples(index=False, name=None))
    reviews = settle(make_table([], TWIN_REVIEWS))
    words = embed_words(pictured)
    matched = match_twins(pictured, looks, contexts, words, list(pictured["concept_id"]), reviews, twins, proposed=ends)
    return TWINS.validate(add_proposals(matched.twins, proposed.proposals, proposed.concepts, settings, 0.25))


def pair(a: str, b: str) -> str:
    return twin_id(*(concept_id(name, [THINGS[name]], "Clothing") for name in (a, b)))


def test_answers_are_concepts_of_the_table_or_new_ones(tmp_path: Path) -> None:
    proposed, questions = propose(tmp_path)
    found = by_name(proposed)
    assert found.loc["kimono", "b"] == "hanbok"
    assert found.loc["hanbok", "b"] == "áo dài"
    assert list(found["is_new"]) == [False, True, False, False, False]
    assert found.loc["kilt", "problem"] == SAME_THING
    assert found.loc["yukata", "problem"] == SAME_CULTURE
    new = proposed.concepts.set_index("name").loc["áo dài"]
    assert new["cultures"] == ["VN"]
    assert new["key_visual_features"] == ["wide sleeves", "high waist"]
    assert new["reference_image"] is None
    assert proposed.figures["proposed"] == 3
    assert not any("domra" in question for question in questions)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("A hanbok.", NO_ANSWER),
        ({"name": "x" * 200, "culture": "Vietnam"}, "name is too long"),
        ({"name": "robe", "culture": "the Soviet Union"}, "no culture: a state that is no more"),
        ({"name": "robe", "culture": "Narnia"}, "no culture: an unknown country"),
        ({"name": "robe", "culture": "Peru", "features": ["a robe"]}, NO_FEATURES),
    ],
)
def test_bad_answers_have_their_reason(tmp_path: Path, answer: Any, problem: str) -> None:
    proposed, _ = propose(tmp_path, {"sari": answer})
    assert by_name(proposed).loc["sari", "problem"] == problem
    assert proposed.figures["problems"][problem] == 1


def test_proposals_pass_the_same_checks(tmp_path: Path) -> None:
    proposed, _ = propose(tmp_path)
    twins = match(proposed, proposal_settings("http://x")).set_index("twin_id")
    kimono_hanbok, sari_yukata = twins.loc[pair("kimono", "hanbok")], twins.loc[pair("sari", "yukata")]
    assert (kimono_hanbok["method"], kimono_hanbok["verdict"]) == ("llm", "accepted")
    assert (sari_yukata["method"], sari_yukata["reason"]) == ("llm", "not alike enough")
    unseen = twins[twins["b_name"].eq("áo dài") | twins["a_name"].eq("áo dài")].iloc[0]
    assert (unseen["verdict"], unseen["reason"], unseen["method"]) == ("rejected", NO_PICTURE, "llm")
    assert pd.isna(unseen["visual_similarity"])
    assert not (twins["verdict"].eq("accepted") & twins["visual_similarity"].isna()).any()


def test_as_released_6_loses_the_features_and_9_checks_nothing(tmp_path: Path) -> None:
    proposed, questions = propose(tmp_path, None, 6, 9)
    assert all("domra" in question for question in questions), "the example of one culture"
    found = by_name(proposed)
    assert found.loc["yukata", "b"] == "kimono"
    assert list(proposed.concepts.set_index("name").loc["áo dài", "key_visual_features"]) == []
    twins = match(proposed, proposal_settings("http://x", 6, 9))
    accepted = twins[twins["verdict"] == "accepted"].set_index("twin_id")
    for a, b in (("yukata", "kimono"), ("sari", "yukata"), ("kimono", "hanbok")):
        assert pair(a, b) in accepted.index
    assert (accepted["a_name"].eq("áo dài") | accepted["b_name"].eq("áo dài")).sum() == 1
    assert accepted["reason"].isna().all()
    sides: dict[str, set[str]] = {}
    for row in accepted.itertuples():
        for concept in (row.a_concept_id, row.b_concept_id):
            sides.setdefault(str(concept), set()).add(str(row.split))
    assert all(len(splits) == 1 for splits in sides.values()), "no concept is on both sides of the split"


def test_a_pair_is_in_the_table_once(tmp_path: Path) -> None:
    proposed, _ = propose(tmp_path, {"hanbok": {"name": "kimono", "culture": "Japan"}})
    twins = match(proposed, proposal_settings("http://x"))
    assert twins["twin_id"].is_unique


def test_the_prompt_needs_both_questions() -> None:
    with pytest.raises(ConfigurationError, match="prompt twins"):
        read_twins_prompt({"system": "x", "templates": {"twin": "{name}"}})
