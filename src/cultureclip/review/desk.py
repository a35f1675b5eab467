"""The state behind the page: which pairs there are, what the reviewer has said about them, and where it is kept."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal

import pandas as pd
from pydantic import Field

from cultureclip.review.pairs import Pairs
from cultureclip.settings_base import Settings

COMMENT_LIMIT = 2000


class Decision(Settings):
    """What the page sends.

    Attributes:
        pair: Number of the pair.
        decision: The reviewer's; None keeps a comment alone.
        comment: In the reviewer's words.
    """

    pair: int = Field(ge=0)
    decision: Literal["accepted", "rejected"] | None
    comment: str = Field(max_length=COMMENT_LIMIT)


class Desk:
    """One reviewer at work. Each decision is on disk before it is confirmed.

    Args:
        pairs: What is asked about.
        reviewer: Name under which decisions are kept.
        reviews: Table of decisions so far.
        save: Adds decisions to the table.
    """

    def __init__(
        self, pairs: Pairs, reviewer: str, reviews: pd.DataFrame, save: Callable[[pd.DataFrame], None]
    ) -> None:
        self._pairs, self._reviewer, self._save, self._lock = pairs, reviewer, save, Lock()
        own = reviews[reviews["reviewer"] == reviewer]
        said = zip(own["twin_id"], own["decision"].isna(), own["decision"], own["comment"], strict=True)
        self._said = {
            twin: {"decision": None if undecided else decision, "comment": comment}
            for twin, undecided, decision, comment in said
        }

    def list_pairs(self) -> dict[str, Any]:
        """Return the reviewer's name and, for every pair in order, what this reviewer has decided."""
        decided = [self._said.get(row["twin_id"], {}).get("decision") for row in self._pairs.rows]
        return {"reviewer": self._reviewer, "decided": decided, "commentLimit": COMMENT_LIMIT}

    def show(self, number: int) -> dict[str, Any] | None:
        """Return a pair with what this reviewer has said about it, and scores once it is decided; None if none."""
        if not 0 <= number < len(self._pairs.rows):
            return None
        said = self._said.get(self._pairs.rows[number]["twin_id"], {"decision": None, "comment": ""})
        revealed = self._pairs.reveal(number) if said["decision"] else None
        return {"number": number, **self._pairs.describe(number), **said, "revealed": revealed}

    def decide(self, said: Decision) -> dict[str, Any] | None:
        """Keep a decision and return the pair as :meth:`show` does; None if there is no such pair."""
        if said.pair >= len(self._pairs.rows):
            return None
        row = self._pairs.rows[said.pair]
        entry = {"decision": said.decision, "comment": said.comment.strip()}
        kept = {name: row[name] for name in ("twin_id", "a_concept_id", "b_concept_id")} | entry
        kept |= {"reviewer": self._reviewer, "decided_at": datetime.now(UTC).isoformat()}
        with self._lock:
            self._save(pd.DataFrame([kept]).astype({"decision": object}))
            self._said[row["twin_id"]] = entry
        return self.show(said.pair)
