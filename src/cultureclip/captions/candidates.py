"""Candidates: one try at a caption each, with what the checks saw and the verdict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cultureclip.captions.checks import CaptionReport, Reason, check_caption
from cultureclip.captions.claims.claim import SpokenClaim
from cultureclip.captions.facts import ConceptFacts
from cultureclip.captions.language import ENGLISH, culture_in, is_written_in, says
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
        language: Code of the language that it is to be in.
        number: Number of the try, from 0.
        seed: Seed of the answer.
        text: The caption; None where the answer has none.
        answer: What the model wrote.
        translation: The caption in English, where it is in another language.
        report: What the checks saw.
        units: What the caption states, and which of it the facts support.
        reason: Why it is not accepted; None where it is.
        revises: The caption that it corrects, if it does.
        claim: The claim of a dialogue that it is, if it is one; such a try was not asked for.
    """

    concept: ConceptFacts
    kind: str
    language: str
    number: int
    seed: int
    text: str | None
    answer: str
    translation: str | None = None
    report: CaptionReport | None = None
    units: UnitReport | None = None
    reason: Reason | None = None
    revises: str | None = None
    claim: SpokenClaim | None = None

    @property
    def english(self) -> str | None:
        """The caption in English: what the checks read, and what is drawn."""
        return self.text if self.translation is None else self.translation

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
        if self.claim is not None:
            seen["claim"] = self.claim.claim_id
        return json.dumps(seen, ensure_ascii=False)


def read_candidate(blank: Candidate, answer: Answer) -> Candidate:
    """Read an answer: its caption, or why it has none.

    Args:
        blank: The try, without an answer.
        answer: What came back.
    """
    seen = replace(blank, answer=answer.text)
    text, reason = _read(answer)
    return replace(seen, text=text, reason=reason)


def read_translation(candidate: Candidate, answer: Answer) -> Candidate:
    """Add the translation of a caption; without one, or with the caption itself given back, it is refused."""
    text, reason = _read(answer)
    if text is not None and text.casefold() == str(candidate.text).casefold():
        return replace(candidate, reason=Reason.OTHER_LANGUAGE)
    return replace(candidate, translation=text, reason=reason and Reason.NOT_TRANSLATED)


def _read(answer: Answer) -> tuple[str | None, Reason | None]:
    if answer.finish != "stop":
        return None, Reason.CUT_OFF if answer.finish == "length" else Reason.UNPARSABLE
    try:
        return parse_caption(answer.text), None
    except UnparsableAnswerError:
        return None, Reason.UNPARSABLE


def check_language(candidate: Candidate, kind: CaptionKind) -> Candidate:
    """Refuse a caption in another language than its kind's."""
    if candidate.reason is not None or candidate.text is None or is_written_in(candidate.text, kind.language):
        return candidate
    return replace(candidate, reason=Reason.OTHER_LANGUAGE)


def check_by_itself(candidate: Candidate, kind: CaptionKind, rules: CaptionRules) -> Candidate:
    """Check what a caption says: all but its units and its likeness to others.

    What a caption in another language must not name is looked for in its own words, too: a translation can lose it.

    Args:
        candidate: A try that was read, and translated if need be.
        kind: What is wanted.
        rules: Bounds of the checks.
    """
    if candidate.reason is not None or candidate.text is None or candidate.english is None:
        return candidate
    concept, text = candidate.concept, candidate.text
    report = check_caption(candidate.english, concept, rules, kind)
    reason = report.reason
    if reason is None and kind.language != ENGLISH:
        cultures = [culture_in(kind.language, code) for code in concept.regions]
        if kind.concept == "unnamed" and any(says(text, name) for name in concept.names):
            reason = Reason.CONCEPT_NAMED
        elif kind.culture == "unnamed" and any(says(text, name) for name in cultures):
            reason = Reason.CULTURE_NAMED
    return replace(candidate, report=report, reason=reason)


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
        accepted: The accepted captions of its concept, of all kinds. Only those of its own language are compared by
            meaning: the same said in two languages is no repeat.
        vectors: L2-normalised sentence embeddings [D] by text; empty where nothing is compared by meaning.
        rules: Bounds of the checks.
    """
    if candidate.reason is not None or candidate.text is None:
        return candidate
    if candidate.text in [other.text for other in accepted]:
        return replace(candidate, reason=Reason.DUPLICATE)
    alike = [other for other in accepted if other.language == candidate.language]
    own = vectors.get(str(candidate.english))
    if own is not None and any(float(own @ vectors[str(other.english)]) > rules.max_similarity for other in alike):
        return replace(candidate, reason=Reason.NEAR_DUPLICATE)
    return candidate
