"""Facts about a concept that its captions are written from and checked against."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cultureclip.concepts.regions import region_name
from cultureclip.prompts import plain

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FILLERS = (
    "a an and are as at between by for from in into is it its of on or over that the their this to under used usually "
    "with without"
)
_ARTICLES = ("a", "an", "the")
_STOP_WORDS = frozenset(_FILLERS.split())


@dataclass(frozen=True)
class ConceptFacts:
    """One concept, as a caption may speak of it.

    Attributes:
        concept_id: Its id.
        name: Its name.
        aliases: Other names.
        regions: Codes of the cultures it is at home in.
        context: A sentence or two about it.
        features: Its key visual features.
        twins: Names of the look-alikes it must not be called by.
        twin_features: Key visual features of the look-alikes.
        said: What the voice of its culture said in dialogues.
    """

    concept_id: str
    name: str
    aliases: tuple[str, ...]
    regions: tuple[str, ...]
    context: str
    features: tuple[str, ...]
    twins: tuple[str, ...] = ()
    twin_features: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @property
    def cultures(self) -> tuple[str, ...]:
        """English names of its cultures."""
        return tuple(region_name(code) for code in self.regions)

    @property
    def names(self) -> tuple[str, ...]:
        """Every way to name it: ``dastar (Sikh turban)`` is also a dastar and a Sikh turban.

        A form of filler words alone (``👘 a``) names nothing: every sentence would name it.
        """
        forms: dict[str, None] = {}
        for name in (self.name, *self.aliases):
            forms |= dict.fromkeys([name, re.sub(r"\s*\(.*?\)", "", name), *re.findall(r"\((.*?)\)", name)])
        return tuple(form for form in forms if content_words(form))

    @classmethod
    def from_row(
        cls, row: Mapping[str, Any], twins: Iterable[Mapping[str, Any]] = (), said: tuple[str, ...] = ()
    ) -> "ConceptFacts":
        """Read a row of the ``concepts`` table, those of its look-alikes, and what was said of it."""
        others = list(twins)
        lists = {key: tuple(map(str, row[key])) for key in ("aliases", "cultures", "key_visual_features")}
        return cls(
            concept_id=str(row["concept_id"]),
            name=str(row["name"]),
            aliases=lists["aliases"],
            regions=lists["cultures"],
            context=str(row["context"]),
            features=lists["key_visual_features"],
            twins=tuple(sorted({str(other["name"]) for other in others})),
            twin_features=tuple(sorted({str(f) for other in others for f in other["key_visual_features"]})),
            said=said,
        )


def describe_facts(facts: ConceptFacts, limit: int) -> str:
    """Write the facts on one line per field, each field cut to ``limit`` characters."""
    fields = {
        "Name": facts.name,
        "Culture": ", ".join(facts.cultures),
        "Context": facts.context,
        "Key visual features": ", ".join(facts.features),
    }
    return "\n".join(f"{name}: {plain(text)[:limit]}" for name, text in fields.items())


def tokens_of(text: str) -> list[str]:
    """Return words as written, possessive endings cut off, hyphens taken as spaces."""
    return [re.sub(r"'s$", "", word) for word in _WORD.findall(text.replace("’", "'"))]


def words_of(text: str) -> list[str]:
    """Return words in lower case without accents, plural and other common endings.

    The form in which words are compared.
    """
    return [stem(token) for token in tokens_of(text)]


def name_words(text: str) -> list[str]:
    """Return :func:`words_of` a text without articles: a caption says "the jeepneys of the Philippines"."""
    return [word for token, word in zip(tokens_of(text), words_of(text), strict=True) if token.lower() not in _ARTICLES]


def content_words(text: str) -> set[str]:
    """Return stems of the words that carry meaning."""
    return {stem(token) for token in tokens_of(text) if token.lower() not in _STOP_WORDS}


def fold(word: str) -> str:
    """Return a word in lower case without accents."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(c for c in letters if not unicodedata.combining(c))


def stem(word: str) -> str:
    """Return a crude stem, the same for ``stripes``, ``striped`` and ``stripe``; British and American colour agree.

    Snowball's English stemmer also cuts endings that make another word (national -> nation, caramelized -> caramel). Of
    the 986 captions of a demo run it refused one more: a pancake with caramelized sugar showed a twin's caramel top.
    """
    word = fold(word).replace("colour", "color").replace("grey", "gray")
    for ending in ("ings", "ing", "edly", "ies", "ied", "ed", "es", "s", "ly", "y", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt"
    return word[:-1] if doubled else word
