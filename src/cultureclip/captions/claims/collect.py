"""From lines of dialogues to claims: filtered, extracted, verified, each said once.

After CulturePark (arXiv 2405.15145): opinions are extracted from each utterance; one that follows from what is known
is kept, an irrelevant one dropped, one that contradicts it written again once and verified again. The published code
verifies the old wording the second time; here it is the new one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from cultureclip.captions.claims.claim import CLAIMS, LABELS, Claim, Label, Reason, as_caption
from cultureclip.captions.claims.dialogue_filter import as_checks, label_dialogues, reason_to_drop
from cultureclip.captions.claims.distinct import Embed, drop_repeats
from cultureclip.captions.claims.prompts import EXTRACT, REWRITE, VERIFY, Judge
from cultureclip.captions.claims.settings import ClaimSettings
from cultureclip.captions.facts import ConceptFacts, describe_facts
from cultureclip.captions.units import WordChecker, report_units
from cultureclip.models.chat.asking import Outcome
from cultureclip.models.chat.request import Structured
from cultureclip.prompts import FIELD_LIMIT, plain
from cultureclip.tables import make_table

MOST_CLAIMS = 20
"""Most claims that are taken from one line."""
_LABEL_TOKENS = 8
_WHY_NOT = {"entail": None, "contradict": Reason.CONTRADICTS, "irrelevant": Reason.IRRELEVANT}


class Extracted(Structured):
    """What a line claims.

    Attributes:
        claims: Each a sentence with one fact.
    """

    claims: list[str]


def collect_claims(
    dialogues: pd.DataFrame, concepts: pd.DataFrame, settings: ClaimSettings, judge: Judge, embed: Embed
) -> pd.DataFrame:
    """Take claims from the accepted lines of dialogues.

    Args:
        dialogues: Table DIALOGUES.
        concepts: Table CONCEPTS.
        settings: Which checks there are, and their bounds.
        judge: Who extracts and verifies.
        embed: The sentence encoder.

    Returns:
        Table CLAIMS: every accepted line has a row, every extracted claim, and every one that was written again.
    """
    facts = {str(row["concept_id"]): ConceptFacts.from_row(dict(row)) for _, row in concepts.iterrows()}
    spoken = dialogues[dialogues["verdict"] == "accepted"].sort_values(["twin_id", "turn"])
    rows = spoken[["twin_id", "turn", "concept_id", "text"]].to_dict("records")
    lines = [
        Claim(
            twin_id=str(row["twin_id"]), turn=int(row["turn"]), concept_id=str(row["concept_id"]), text=str(row["text"])
        )
        for row in rows
    ]
    if settings.filter_dialogues:
        lines = _filter_dialogues(lines, facts, judge)
    claims = [line for line in lines if line.reason is not None]
    claims += _extract([line for line in lines if line.reason is None], facts, settings, judge)
    claims = _verify(claims, facts, settings, judge)
    claims = drop_repeats(claims, settings.most, embed)
    made_by = {"model": judge.model.name, "revision": judge.model.fingerprint, "prompt_id": judge.prompt.id}
    return make_table([claim.as_row() | made_by for claim in claims], CLAIMS)


def _filter_dialogues(lines: list[Claim], facts: Mapping[str, ConceptFacts], judge: Judge) -> list[Claim]:
    """Note the labels of each line's dialogue, and drop the lines of those that CLCA drops."""
    talks: dict[str, list[Claim]] = {}
    for line in lines:
        talks.setdefault(line.twin_id, []).append(line)
    labels = label_dialogues([_describe(talk, facts) for talk in talks.values()], judge)
    of_talk = dict(zip(talks, labels, strict=True))
    return [
        replace(line, checks=as_checks(of_talk[line.twin_id]), reason=reason_to_drop(of_talk[line.twin_id]))
        for line in lines
    ]


def _describe(talk: Sequence[Claim], facts: Mapping[str, ConceptFacts]) -> dict[str, str]:
    """Write a dialogue; of one that ended after its first line the other side is not known."""
    sides = list(dict.fromkeys(line.concept_id for line in talk))
    own, other = facts[sides[0]], facts[sides[-1]]
    said = "\n".join(f"{facts[line.concept_id].cultures[0]}: {line.text}" for line in talk)
    return {
        "dialogue": said,
        "name": plain(own.name),
        "culture": own.cultures[0],
        "other_name": plain(other.name),
        "other_culture": other.cultures[0],
    }


def _extract(
    lines: Sequence[Claim], facts: Mapping[str, ConceptFacts], settings: ClaimSettings, judge: Judge
) -> list[Claim]:
    """Cut lines into claims; a line without one keeps a row that says why."""
    fields = [
        {
            "said": plain(str(line.text)),
            "name": plain(facts[line.concept_id].name),
            "culture": facts[line.concept_id].cultures[0],
        }
        for line in lines
    ]
    found: list[Claim] = []
    for line, outcome in zip(lines, judge.ask(EXTRACT, fields, settings.max_new_tokens, Extracted), strict=True):
        texts = _read_claims(outcome)
        if not texts:
            found.append(replace(line, text=None, reason=Reason(outcome.reason or Reason.NOTHING_CLAIMED)))
        for number, text in enumerate(texts):
            short = Reason.TOO_SHORT if len(text.split()) < settings.min_words else None
            found.append(replace(line, number=number, text=text, reason=short))
    return found


def _read_claims(outcome: Outcome) -> list[str]:
    if not isinstance(outcome.value, Extracted):
        return []
    return list(dict.fromkeys(text for text in map(plain, outcome.value.claims) if text))[:MOST_CLAIMS]


def _verify(
    claims: Sequence[Claim], facts: Mapping[str, ConceptFacts], settings: ClaimSettings, judge: Judge
) -> list[Claim]:
    """Label claims; one that contradicts the facts is followed by what it became when it was written again."""
    label = _label_by_words if settings.verify_by == "words" else _label_by_judge
    checked = _label(claims, facts, judge, label)
    wrong = [claim for claim in checked if claim.reason is Reason.CONTRADICTS]
    outcomes = judge.ask(REWRITE, [_beside_facts(claim, facts) for claim in wrong], settings.max_new_tokens)
    again = []
    for claim, outcome in zip(wrong, outcomes, strict=True):
        text = None if outcome.failed else plain(outcome.text) or None
        why = None if text else Reason(outcome.reason or Reason.NOTHING_CLAIMED)
        if text and len(text.split()) < settings.min_words:
            why = Reason.TOO_SHORT
        again.append(replace(claim, text=text, label=None, rewrites=claim.claim_id, reason=why))
    new = {claim.rewrites: claim for claim in _label(again, facts, judge, label)}
    return [one for claim in checked for one in (claim, new.get(claim.claim_id)) if one is not None]


Labeller = Callable[[Sequence[Claim], Mapping[str, ConceptFacts], Judge], list[Label | None]]
"""Claims, facts by concept id, the judge -> what each claim is to the facts of its concept; None if nobody says."""


def _label(claims: Sequence[Claim], facts: Mapping[str, ConceptFacts], judge: Judge, label: Labeller) -> list[Claim]:
    """Label the claims that are not dropped already."""
    places = [place for place, claim in enumerate(claims) if claim.reason is None]
    labelled = list(claims)
    for place, found in zip(places, label([claims[place] for place in places], facts, judge), strict=True):
        reason = Reason.NOT_VERIFIED if found is None else _WHY_NOT[found]
        labelled[place] = replace(claims[place], label=found, reason=reason)
    return labelled


def _label_by_judge(claims: Sequence[Claim], facts: Mapping[str, ConceptFacts], judge: Judge) -> list[Label | None]:
    fields = [_beside_facts(claim, facts) for claim in claims]
    outcomes = judge.ask(VERIFY, fields, _LABEL_TOKENS, accept=LABELS)
    return [None if one.failed else next(label for label in LABELS if label == one.text) for one in outcomes]


def _label_by_words(
    claims: Sequence[Claim],
    facts: Mapping[str, ConceptFacts],
    judge: Judge,  # noqa: ARG001 - one signature for both
) -> list[Label | None]:
    """Call a claim entailed if the facts support all that it states, and it states something."""
    checked = report_units([(as_caption(str(one.text)), facts[one.concept_id]) for one in claims], WordChecker())
    return ["entail" if report.units and not report.problems else "irrelevant" for report in checked]


def _beside_facts(claim: Claim, facts: Mapping[str, ConceptFacts]) -> dict[str, Any]:
    return {"claim": plain(str(claim.text)), "facts": describe_facts(facts[claim.concept_id], FIELD_LIMIT)}
