"""What became of every row of a source: counted by reason, with examples; nothing is dropped silently."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

MALFORMED, NOT_UTF8 = "malformed row", "row is not UTF-8"
NO_NAME, NAME_TOO_LONG, NAME_UNFIT = "no name", "name is too long", "name has characters that no name may have"
NO_CULTURE, NO_CATEGORY = "no culture", "category is not mapped"
NO_FACTS = "picture without a context and a key visual feature"
NO_PICTURE_FILE = "picture file is missing"
UNKNOWN_TERMS, OTHER_LANGUAGE = "unknown terms", "page is in another language"
GENERIC, REPEATED = "generic", "same row again"
COUNTRY_REASONS = {
    status: f"no culture: {what}"
    for status, what in (
        ("historical", "a state that is no more"),
        ("ambiguous", "a name of several countries"),
        ("unknown", "an unknown country"),
    )
}

_TEXTS_KEPT, _SHOWN_CHARACTERS = 1000, 60
_OTHERS = "(others)"


@dataclass
class Tally:
    """Counts of one source.

    Attributes:
        shown: Most examples kept of each reason.
        rows: Rows read, malformed ones among them.
        dropped: Rows that are part of no concept, by reason.
        examples: Places of the first such rows, by reason.
        texts: Texts of the owner that were not understood, by what they are, with the rows they are in.
        aliases_left_out: Other names that no name may be like, or too many.
        files: Path, bytes and SHA-256 of each file.
        usage: What a model was asked, and what it cost; empty where none was.
    """

    shown: int = 20
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, Counter[str]] = field(default_factory=dict)
    aliases_left_out: int = 0
    files: list[dict[str, Any]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)

    def drop(self, reason: str, place: str) -> None:
        """Count a row that is part of no concept."""
        self.dropped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < self.shown:
            examples.append(place)

    def note(self, what: str, text: str) -> None:
        """Count a text that was not understood."""
        counted = self.texts.setdefault(what, Counter())
        text = text[:_SHOWN_CHARACTERS]
        counted[text if text in counted or len(counted) < _TEXTS_KEPT else _OTHERS] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as they are saved, the most frequent first."""
        return {
            "files": self.files,
            "rows": self.rows,
            "dropped": dict(self.dropped.most_common()),
            "examples": self.examples,
            "not_understood": {what: dict(counted.most_common()) for what, counted in self.texts.items()},
            "aliases_left_out": self.aliases_left_out,
            **({"usage": self.usage} if self.usage else {}),
        }
