"""Candidates: one try at a caption each, with what the checks saw and the verdict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cultureclip.captions.checks import CaptionReport, Reason, check_caption
from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.prompts import parse_caption
from cultureclip.captions.settings import CaptionKind, CaptionRules
from cultureclip.captions.units import UnitReport
from cultureclip.errors import UnparsableAnswerError
from cultureclip.models.chat.request import Answer

SHOWN_ANSWER = 200
"""Most characters of an answer without a caption that are kept in the table."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One try at a concept's caption.

    Attributes:
        concept: What it is about.
        kind: Kind of caption.
        number: Number of the try, from 0.
        seed: Seed of the answer.
        text: The caption; None where the answer has none.
        answer: What the model wrote.
        report: What the checks saw.
        units: What the caption states, and which of it the facts support.
        reason: Why it is not accepted; None where it is.
        revises: The caption that it corrects, if it does.
    """

    concept: ConceptFacts
    kind: str
    number: int
    seed: int
    text: str | None
    answer: str
    report: CaptionReport | None = None
    units: UnitReport | None = None
    reason: Reason | None = None
    revises: str | None = None

    @property
    def verdict(self) -> str:
        """``accepted``, ``rejected`` by a check, or ``failed`` when there is no caption to check."""
        return "accepted" if self.reason is None else "failed" if self.text is None else "rejected"

    @property
    def checks(self) -> str:
        """The reports as JSON; of an answer without a caption its beginning."""
        seen: dict[str, object] = {} if self.report else {"answer": self.answer[:SHOWN_ANSWER]}
        seen |= self.report.as_dict() if self.report else {}
        if self.units:
            shares = {"precision": round(self.units.precision, 3), "recall": round(self.units.recall, 3)}
            seen |= {"units": self.units.units, "unsupported_units": self.units.problems, **shares}
        if self.revises is not None:
            seen["revises"] = self.revises
        return json.dumps(seen, ensure_ascii=False)


def read_candidate(blank: Candidate, answer: Answer, kind: CaptionKind, rules: CaptionRules) -> Candidate:
    """Read an answer and check its caption by itself: all but its units and its likeness to others.

    Args:
        blank: The try, without an answer.
        answer: What came back.
        kind: What is wanted.
        rules: Bounds of the checks.
    """
    seen = replace(blank, answer=answer.text)
    if answer.finish != "stop":
        return replace(seen, reason=Reason.CUT_OFF if answer.finish == "length" else Reason.UNPARSABLE)
    try:
        text = parse_caption(answer.text)
    except UnparsableAnswerError:
        return replace(seen, reason=Reason.UNPARSABLE)
    report = check_caption(text, blank.concept, rules, kind)
    return replace(seen, text=text, report=report, reason=report.reason)


def check_units(candidate: Candidate, units: UnitReport, rules: CaptionRules) -> Candidate:
    """Add what the caption states; it is refused where too little of it is supported."""
    reason = candidate.reason
    if reason is None and units.precision < rules.min_precision:
        reason = Reason.UNSUPPORTED_UNIT
    return replace(candidate, units=units, reason=reason)


def check_repeats(
    candidate: Candidate, accepted: Sequence[Candidate], vectors: dict[str, np.ndarray], rules: CaptionRules
) -> Candidate:
    """Refuse a caption that an accepted one of its concept says already, in the same words or in others.

    Args:
        candidate: The caption.
        accepted: The accepted captions of its concept, of all kinds.
        vectors: L2-normalised sentence embeddings [D] by text; empty where nothing is compared by meaning.
        rules: Bounds of the checks.
    """
    if candidate.reason is not None or candidate.text is None:
        return candidate
    texts = [other.text for other in accepted if other.text is not None]
    if candidate.text in texts:
        return replace(candidate, reason=Reason.DUPLICATE)
    if vectors and any(float(vectors[candidate.text] @ vectors[text]) > rules.max_similarity for text in texts):
        return replace(candidate, reason=Reason.NEAR_DUPLICATE)
    return candidate
