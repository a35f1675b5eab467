"""Claims taken from dialogues: filtered, extracted, verified, each said once, tried as captions."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from cultureclip.captions.checks import Reason as CaptionReason
from cultureclip.captions.claims.claim import CLAIMS, Claim, Reason, list_spoken, summarise_claims
from cultureclip.captions.claims.collect import collect_claims
from cultureclip.captions.claims.dialogue_filter import DialogueLabel, reason_to_drop
from cultureclip.captions.claims.distinct import drop_repeats
from cultureclip.captions.claims.prompts import Judge, read_claims_prompt
from cultureclip.captions.claims.settings import ClaimSettings
from cultureclip.captions.dialogue import DIALOGUES, VoiceSettings, said_of
from cultureclip.captions.settings import CaptionSettings
from cultureclip.captions.write import write_captions
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.tables import CAPTIONS, make_table
from tests.captions.test_language import IDS, tables
from tests.support.captions import CAPTION_PROMPT, CAPTION_SETTINGS, PROMPT_FILE
from tests.support.chat_server import chat_server, completion

CONTENT = yaml.safe_load((PROMPT_FILE.parent / "claims.yml").read_text(encoding="utf-8"))
PROMPT = read_claims_prompt(CONTENT)
SETTINGS = ClaimSettings(sentence_encoder="package:none/model", min_words=4)
LINES = {"kimono": "Mine is wide.", "hanbok": "Mine is short."}
GOOD = "A kimono from Japan with wide sleeves."


def dialogue(*lines: tuple[str, str], verdict: str = "accepted", twin: str = "t1") -> pd.DataFrame:
    made = {"model": "small", "revision": "r1", "prompt_id": "p", "seed": 1, "verdict": verdict, "reason": None}
    rows = [
        {"twin_id": twin, "turn": turn, "concept_id": IDS[name], "text": text, **made}
        for turn, (name, text) in enumerate(lines, 1)
    ]
    return make_table(rows, DIALOGUES)


def refuse_to_embed(texts):
    raise AssertionError(f"nothing is embedded that need not be: {texts}")


def answers(script: dict[str, str]):
    """Answer a question by the first key that it contains."""

    def behave(handler, body):
        question = body["messages"][-1]["content"]
        reply = next(text for key, text in script.items() if key in question)
        handler.send(json.dumps(completion(reply, model="judge")).encode())

    return behave


def collect(tmp_path, talk, script, settings=SETTINGS, embed=refuse_to_embed):
    """Return the table, and the questions that were asked."""
    with chat_server(answers(script)) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="judge", revision="r2"))
        judge = Judge(model, PROMPT, KeyedStore(tmp_path / "answers.sqlite"), 3, settings.tries, Usage())
        table = collect_claims(talk, tables()[1], settings, judge, embed)
        return CLAIMS.validate(table), [body["messages"][-1]["content"] for _, _, body in server.seen]


def says(*claims: str) -> str:
    return json.dumps({"claims": list(claims)})


def test_every_line_leaves_claims_or_a_row_that_says_why_not(tmp_path):
    talk = dialogue(("kimono", "I wear it."), ("hanbok", "Hm."), ("kimono", "Blue!"), ("hanbok", "Well."))
    script = {
        "Said: I wear it.": says("A kimono has wide sleeves.", "It is worn."),
        "Said: Hm.": says(),
        "Said: Blue!": "I like blue.",
        "Said: Well.": says("A hanbok is a skyscraper."),
        "Claim: A kimono": "entail",
        "Claim: A hanbok": "irrelevant",
    }
    table, _ = collect(tmp_path, talk, script)
    assert list(table["turn"]) == [1, 1, 2, 3, 4]
    assert [None if pd.isna(why) else why for why in table["reason"]] == [
        None,
        Reason.TOO_SHORT,
        Reason.NOTHING_CLAIMED,
        Reason.UNPARSABLE,
        Reason.IRRELEVANT,
    ]
    assert list(table["verdict"]) == ["accepted", "rejected", "failed", "failed", "rejected"]
    assert said_of(table) == {IDS["kimono"]: ("A kimono has wide sleeves.",)}
    counts = summarise_claims(table)
    assert counts["in"] == counts["kept"] + sum(counts["rejected"].values()) == 5


def test_a_line_that_failed_claims_nothing_and_is_not_asked_about(tmp_path):
    table, questions = collect(tmp_path, dialogue(("kimono", "It is"), verdict="failed"), {})
    assert table.empty and questions == []


def test_the_facts_of_the_speakers_own_thing_decide(tmp_path):
    talk = dialogue(("kimono", "I."), ("hanbok", "You."))
    script = {"Said:": says("It has a short jacket."), "Name: kimono": "irrelevant", "Name: hanbok": "entail"}
    table, _ = collect(tmp_path, talk, script)
    assert table.set_index("concept_id")["label"].to_dict() == {IDS["kimono"]: "irrelevant", IDS["hanbok"]: "entail"}


@pytest.mark.parametrize(
    ("rewritten", "again", "verdict"),
    [("A kimono has wide sleeves.", "entail", "accepted"), ("A kimono has no sleeves.", "contradict", "rejected")],
)
def test_a_contradiction_is_written_again_once_and_the_new_words_are_verified(tmp_path, rewritten, again, verdict):
    script = {
        "Said:": says("A kimono is sleeveless mail."),
        "Wrong claim: A kimono is sleeveless": rewritten,
        "Claim: A kimono is sleeveless": "contradict",
        f"Claim: {rewritten}": again,
    }
    table, questions = collect(tmp_path, dialogue(("kimono", "I.")), script)
    old, new = table.to_dict("records")
    assert (old["verdict"], old["reason"]) == ("rejected", Reason.CONTRADICTS)
    assert (new["rewrites"], new["text"], new["label"], new["verdict"]) == (old["claim_id"], rewritten, again, verdict)
    assert sum("Wrong claim" in question for question in questions) == 1


def test_a_label_of_another_form_verifies_nothing(tmp_path):
    table, questions = collect(
        tmp_path,
        dialogue(("kimono", "I.")),
        {"Said:": says("A kimono has wide sleeves."), "Claim:": "Entailed, I think"},
    )
    assert list(table["reason"]) == [Reason.NOT_VERIFIED] and pd.isna(table["label"][0])
    assert sum("Claim:" in question for question in questions) == SETTINGS.tries


def test_words_verify_without_the_judge_what_the_facts_of_the_concept_say(tmp_path):
    script = {"Said:": says("A kimono of Japan has wide sleeves.", "A kimono has a short jacket.", "It is what it is.")}
    by_words = SETTINGS.model_copy(update={"verify_by": "words"})
    table, questions = collect(tmp_path, dialogue(("kimono", "I.")), script, by_words)
    assert list(table["label"]) == ["entail", "irrelevant", "irrelevant"]
    assert len(questions) == 1


def label(word: str, confidence: int) -> str:
    return json.dumps({"label": word, "confidence": confidence})


def test_clcas_filter_drops_a_dialogue_only_if_meta_or_quality_is_surely_bad():
    known = [None, *(DialogueLabel(label=w, confidence=c) for w, c in product(("good", "bad"), (1, 2, 3)))]
    surely_bad = DialogueLabel(label="bad", confidence=1)
    for quality, alignment, meta in product(known, known, known):
        why = reason_to_drop({"quality": quality, "alignment": alignment, "meta": meta})
        assert (why is not None) == (surely_bad in (quality, meta))
        assert why != Reason.DIALOGUE_META or meta == surely_bad


def test_a_dropped_dialogue_stays_in_the_table_with_its_labels_and_nothing_is_taken_from_it(tmp_path):
    talk = pd.concat([dialogue(("kimono", "Bad. Bad. Bad.")), dialogue(("hanbok", "Fine."), twin="t2")])
    script = {
        "judge calls": label("good", 1),
        "people of these cultures": label("bad", 1),
        "Bad. Bad. Bad.": label("bad", 1),
        "South Korea: Fine.": "perhaps",
        "Said: Fine.": says("A hanbok has a short jacket."),
        "Claim:": "entail",
    }
    table, questions = collect(tmp_path, talk, script, SETTINGS.model_copy(update={"filter_dialogues": True}))
    dropped, kept = table.sort_values("twin_id").to_dict("records")
    assert (dropped["text"], dropped["reason"]) == ("Bad. Bad. Bad.", Reason.DIALOGUE_QUALITY)
    assert json.loads(dropped["checks"]) == {"quality": ["bad", 1], "alignment": ["bad", 1], "meta": ["good", 1]}
    assert kept["verdict"] == "accepted" and json.loads(kept["checks"])["quality"] is None
    assert not any("Said: Bad." in question for question in questions)
    assert any("calls its quality unknown and its culture bad" in question for question in questions)
    assert summarise_claims(table)["unread_labels"] == {"alignment": 0, "meta": 0, "quality": 1}


def test_without_the_filter_no_dialogue_is_judged(tmp_path):
    _, questions = collect(
        tmp_path, dialogue(("kimono", "I.")), {"Said:": says("A kimono is a robe."), "Claim:": "entail"}
    )
    assert len(questions) == 2


def claims(*texts: str, concept: str = "c") -> list[Claim]:
    return [Claim(twin_id="t", turn=turn, concept_id=concept, text=text) for turn, text in enumerate(texts, 1)]


def test_of_a_cluster_the_longest_claim_is_kept_and_the_others_name_it():
    angles = {"red": 0.0, "it is red": 0.02, "red it is": 0.03, "flat": 1.5, "it is flat": 1.52, "tall": 3.0}
    found = drop_repeats(claims(*angles), 3, lambda ts: np.array([(np.cos(angles[t]), np.sin(angles[t])) for t in ts]))
    kept = {claim.claim_id: claim.text for claim in found if claim.reason is None}
    assert sorted(kept.values()) == ["it is flat", "it is red", "tall"]
    assert {c.text: kept[c.same_as] for c in found if c.reason} == {
        "red": "it is red",
        "red it is": "it is red",
        "flat": "it is flat",
    }


def test_a_concept_with_few_claims_loses_only_those_in_the_same_words():
    found = drop_repeats(
        [*claims("It is  red.", "it is red", "It is blue."), *claims("It is red.", concept="d")], 10, refuse_to_embed
    )
    assert [claim.reason for claim in found] == [None, Reason.SAME_WORDS, None, None]
    assert found[1].same_as == found[0].claim_id


def test_claims_are_tried_as_captions_by_the_same_checks_before_the_model_is_asked(tmp_path):
    table, _ = collect(
        tmp_path,
        dialogue(("kimono", "I."), ("kimono", "You."), ("hanbok", "We.")),
        {
            "Said: I.": says("A kimono from Peru with wide sleeves."),
            "Said: You.": says("A kimono from Japan has wide sleeves.", "A kimono of Japan has wide sleeves."),
            "Said: We.": says("A hanbok of nobody with a short jacket."),
            "Claim:": "entail",
        },
    )
    config = CaptionSettings.model_validate(
        CAPTION_SETTINGS.model_dump()
        | {
            "voices": VoiceSettings(lines=2, max_new_tokens=9),
            "claims": SETTINGS.model_copy(update={"caption_kind": "plain"}),
        }
    )
    with chat_server(lambda handler, _: handler.send(json.dumps(completion("none")).encode())) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="r1"))
        store = KeyedStore(tmp_path / "captions.sqlite")
        spoken = list_spoken(table)
        written = write_captions(
            *tables(), claims=spoken, store=store, model=model, prompt=CAPTION_PROMPT, settings=config
        )
        asked = {body["messages"][-1]["content"] for _, _, body in server.seen}
    CAPTIONS.validate(written)
    assert written["seed"].is_unique
    assert all("Name: hanbok" in question for question in asked) and asked
    rows = {name: written[written["concept_id"] == one].to_dict("records") for name, one in IDS.items()}
    foreign, good = rows["kimono"]
    assert (foreign["verdict"], foreign["reason"]) == ("rejected", CaptionReason.CULTURE_NOT_NAMED)
    assert (good["text"], good["verdict"]) == (GOOD, "accepted")
    assert (good["model"], good["revision"], good["prompt_id"]) == (
        "judge",
        spoken[IDS["kimono"]][1].revision,
        PROMPT.id,
    )
    assert json.loads(good["checks"])["claim"] == spoken[IDS["kimono"]][1].claim_id
    assert [row["reason"] for row in rows["hanbok"]] == [CaptionReason.CULTURE_NOT_NAMED, *["unparsable"] * 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"claims": SETTINGS.model_dump()}, "set voices"),
        (
            {"voices": {"lines": 2, "max_new_tokens": 9}, "claims": {**SETTINGS.model_dump(), "caption_kind": "scene"}},
            "there are: plain",
        ),
    ],
)
def test_settings_that_cannot_be_met_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        CaptionSettings.model_validate(CAPTION_SETTINGS.model_dump() | changes)


def test_the_papers_prompt_is_one_too():
    paper = PROMPT_FILE.parents[2] / "paper/prompts/claims.yml"
    assert (
        read_claims_prompt(yaml.safe_load(paper.read_text(encoding="utf-8"))).templates.keys()
        == PROMPT.templates.keys()
    )
