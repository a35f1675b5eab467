"""A claim, and the table of claims."""

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import pandas as pd
import pandera.pandas as pa

from cultureclip.ids import digest
from cultureclip.tables import VERDICTS

Label = Literal["entail", "contradict", "irrelevant"]
LABELS: tuple[Label, ...] = ("entail", "contradict", "irrelevant")
"""What a claim is to the facts of its concept, in CulturePark's words."""


class Reason(StrEnum):
    """Why a claim is not kept, in the order of the checks."""

    DIALOGUE_QUALITY = "dialogue_quality"
    DIALOGUE_META = "dialogue_meta"
    CUT_OFF = "cut_off"
    REFUSED = "refused"
    UNPARSABLE = "unparsable"
    NOTHING_CLAIMED = "nothing_claimed"
    TOO_SHORT = "too_short"
    NOT_VERIFIED = "not_verified"
    IRRELEVANT = "irrelevant"
    CONTRADICTS = "contradicts"
    SAME_WORDS = "same_words"
    SAME_CLUSTER = "same_cluster"


_HAS = re.compile(r"\b(?:has|have)\b(?! been)")


def as_caption(claim: str) -> str:
    """Word a sentence as captions are worded: "a kimono has wide sleeves" is "a kimono with wide sleeves"."""
    return _HAS.sub("with", claim)


CLAIMS = pa.DataFrameSchema(
    {
        "claim_id": pa.Column(str, unique=True),
        "twin_id": pa.Column(str),
        "turn": pa.Column(int, pa.Check.ge(1)),  # of the line that states it
        "concept_id": pa.Column(str),  # whose voice states it, of itself
        "text": pa.Column(str, nullable=True),  # null where nothing was extracted from the line
        "label": pa.Column(str, pa.Check.isin(LABELS), nullable=True),  # null where it was not asked or not answered
        "rewrites": pa.Column(str, nullable=True),  # the claim that contradicted the facts
        "same_as": pa.Column(str, nullable=True),  # the claim that is kept in its place
        "checks": pa.Column(str),  # JSON: the labels of CLCA's filter, each with its confidence
        "model": pa.Column(str),  # the judge
        "revision": pa.Column(str, nullable=True),
        "prompt_id": pa.Column(str),
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, pa.Check.isin([str(reason) for reason in Reason]), nullable=True),
    },
    strict=True,
)
"""One row per claim; a line from which nothing was taken has a row, too."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence that a voice states of its own thing.

    Attributes:
        twin_id: The dialogue.
        turn: Its line.
        concept_id: The concept that it is about.
        number: Place in the line, from 0.
        text: The sentence; None where nothing was extracted.
        label: What it is to the facts; None where that is not known.
        rewrites: Id of the claim that it stands for.
        same_as: Id of the claim that is kept in its place.
        checks: What CLCA's filter saw of the dialogue.
        reason: Why it is not kept; None where it is.
    """

    twin_id: str
    turn: int
    concept_id: str
    number: int = 0
    text: str | None = None
    label: Label | None = None
    rewrites: str | None = None
    same_as: str | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    reason: Reason | None = None

    @property
    def claim_id(self) -> str:
        """Hash of where it was said and of its words."""
        return digest("claim", self.twin_id, self.turn, self.number, self.text, self.rewrites)

    def as_row(self) -> dict[str, Any]:
        """Return the claim's part of a row of CLAIMS."""
        failed = self.reason is not None and self.text is None
        return {
            **{name: getattr(self, name) for name in ("claim_id", "twin_id", "turn", "concept_id", "text", "label")},
            "rewrites": self.rewrites,
            "same_as": self.same_as,
            "checks": json.dumps(self.checks),
            "verdict": "accepted" if self.reason is None else "failed" if failed else "rejected",
            "reason": None if self.reason is None else str(self.reason),
        }


@dataclass(frozen=True)
class SpokenClaim:
    """A claim that is kept, with who worded it.

    Attributes:
        claim_id: Its id.
        text: The sentence.
        model: Who extracted it.
        revision: Revision of that model.
        prompt_id: Hash of the prompt file.
    """

    claim_id: str
    text: str
    model: str
    revision: str | None
    prompt_id: str


def list_spoken(claims: pd.DataFrame) -> dict[str, list[SpokenClaim]]:
    """Return the claims that are kept, by concept id, in the order of the table.

    Args:
        claims: Table CLAIMS.
    """
    kept = claims[claims["verdict"] == "accepted"]
    columns = ["claim_id", "text", "model", "revision", "prompt_id"]
    return {
        str(concept): [SpokenClaim(*row) for row in rows[columns].itertuples(index=False)]
        for concept, rows in kept.groupby("concept_id")
    }


def summarise_claims(claims: pd.DataFrame) -> dict[str, Any]:
    """Count claims by step: ``in`` = ``kept`` + all ``rejected`` by reason.

    Returns:
        Also ``extracted``, ``rewritten``, and per label of CLCA's filter the dialogues whose label could not be read.
    """
    checks = claims.drop_duplicates("twin_id")["checks"].map(json.loads)
    names = sorted({name for seen in checks for name in seen})
    return {
        "in": len(claims),
        "extracted": int(claims["text"].notna().sum()),
        "rewritten": int(claims["rewrites"].notna().sum()),
        "kept": int((claims["verdict"] == "accepted").sum()),
        "rejected": {str(why): int(n) for why, n in claims["reason"].dropna().value_counts().items()},
        "unread_labels": {name: sum(seen[name] is None for seen in checks) for name in names},
    }
