"""Words for kinds of things, each with one of the eight categories, for sources that give sentences alone."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cultureclip.reading.csv_table import read_csv_file

_WORD = re.compile(r"[^\W_]+")


def _read_kinds() -> dict[str, str]:
    table = read_csv_file(Path(__file__).parents[2] / "kind_words.csv")
    return dict(zip(table["word"], table["category"], strict=True))


KINDS = _read_kinds()
"""Word -> category, as ``kind_words.csv`` has them."""


class KindFinder:
    """Finds words for kinds of things in texts, in the singular or with an s."""

    def __init__(self, kinds: Iterable[str]) -> None:
        """Prepare.

        Args:
            kinds: Words, or several words with spaces between them, in any case.
        """
        self._forms = {form: kind.lower() for kind in kinds for form in _plurals(kind.lower())}
        self._longest: dict[str, int] = {}
        """First word -> most words of a kind that begins with it."""
        for form in self._forms:
            first, *rest = form.split()
            self._longest[first] = max(self._longest.get(first, 1), 1 + len(rest))

    def first(self, sentence: str) -> str:
        """Return the first kind that a sentence names, the longest one there; empty if it names none."""
        return next(self._find(sentence), "")

    def last(self, name: str) -> str:
        """Return the last kind in a name, as a fish curry is a curry; empty if there is none."""
        return ([*self._find(name)] or [""])[-1]

    def _find(self, text: str) -> Iterator[str]:
        words = _WORD.findall(text.lower())
        for place, word in enumerate(words):
            for length in range(self._longest.get(word, 0), 0, -1):
                kind = self._forms.get(" ".join(words[place : place + length]))
                if kind:
                    yield kind
                    break


def _plurals(kind: str) -> tuple[str, ...]:
    return kind, f"{kind}s", f"{kind}es"
