"""Concepts that a language model names: the form of its answers, and what can be told of each without a model."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from rapidfuzz import fuzz

from cultureclip.concepts.countries import countries_in
from cultureclip.concepts.keys import fold, name_key
from cultureclip.concepts.regions import adjectives, region_name
from cultureclip.concepts.sources.found import Found, name_problem
from cultureclip.concepts.sources.kinds import KINDS, KindFinder
from cultureclip.concepts.sources.tally import GENERIC, REPEATED
from cultureclip.concepts.texts import CELL_LIMIT
from cultureclip.models.chat.request import Structured
from cultureclip.prompts import Prompt, read_prompt

PROPOSE, MORE, CHECK = "propose", "more", "check"
"""Templates of ``prompts/top_down.yml``: the first question about a cell, later ones, and that about a proposal."""

OTHER_CULTURE, OTHER_CATEGORY, COPIED = "of another culture", "of another category", "copied from the prompt's examples"
NO_FEATURES = "no context, or no feature that says more than the name"
NOT_DEPICTABLE, UNCHECKED = "not a thing that a picture can show", "the question about it got no answer"

MOST = 50
"""Most concepts of one answer; a longer list is no answer to the question."""

_ALIKE = 90
"""Similarity of two names' keys, of 100, from which on a model said one thing twice."""
_CELL_FIELDS = frozenset({"region", "category", "number"})
_FIELDS = {
    PROPOSE: _CELL_FIELDS,
    MORE: _CELL_FIELDS | {"known"},
    CHECK: frozenset({"name", "region", "category", "context", "features"}),
}
_WORD = re.compile(r"[^\W_]+")
_EMPTY_WORDS = frozenset(("a", "an", "the", "of", "from", "in", "and", "traditional", "typical", "culture", "national"))
_KINDS = KindFinder(KINDS)


class Proposal(Structured):
    """A concept in a model's answer."""

    name: str = Field(min_length=1, max_length=CELL_LIMIT)
    context: str = Field(min_length=1, max_length=CELL_LIMIT)
    features: tuple[str, ...] = Field(min_length=1, max_length=MOST)


class Proposals(Structured):
    """A model's answer to a question for concepts."""

    concepts: tuple[Proposal, ...] = Field(min_length=1, max_length=MOST)


class Opinion(Structured):
    """A model's answer to the question about one proposal."""

    depictable: bool
    of_culture: bool
    of_category: bool

    @property
    def problem(self) -> str:
        """Why it is no concept; empty if it is one."""
        said = ((self.depictable, NOT_DEPICTABLE), (self.of_culture, OTHER_CULTURE), (self.of_category, OTHER_CATEGORY))
        return next((reason for good, reason in said if not good), "")


@dataclass(frozen=True)
class Cell:
    """A region and a category, about which a model is asked.

    Attributes:
        region: Region code.
        category: One of the eight.
    """

    region: str
    category: str

    def __str__(self) -> str:
        return f"{self.region} {self.category}"


@dataclass
class Known:
    """What a model has named of a cell.

    Attributes:
        names: The names, good and bad, in the order of the answers.
        good: Number of those that are concepts.
    """

    names: list[str] = field(default_factory=list)
    good: int = 0

    def has(self, name: str) -> bool:
        """Tell whether a thing was named before, if in other spelling."""
        key = name_key(name)
        return any(fuzz.ratio(key, name_key(other)) >= _ALIKE for other in self.names)


def read_top_down_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/top_down.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "top_down", _FIELDS)


def useful_features(name: str, features: Iterable[str]) -> tuple[str, ...]:
    """Return features that say more than the name does, each once: "kimono" is no feature of a kimono."""
    said = _words(name) | _EMPTY_WORDS
    kept: dict[str, str] = {}
    for feature in features:
        if _words(feature) - said:
            kept.setdefault(fold(feature), feature)
    return tuple(kept.values())


def find_problem(found: Found, cell: Cell, known: Known, prompt: Prompt) -> str:
    """Return why a proposal is no concept of a cell, as far as words can tell; empty if they cannot.

    Args:
        found: The proposal, its texts tidied.
        cell: What was asked for.
        known: What the model named before.
        prompt: How it was asked: things in worked examples of other regions are not its own answers.
    """
    own_words = _words(found.name) - _EMPTY_WORDS - _words(cell.category) - _region_words(cell.region)
    named = countries_in(f"{found.name}. {found.context}")
    kind = _KINDS.last(found.name)
    rules = (
        (known.has(found.name), REPEATED),
        (name_key(found.name) in _example_names(prompt, cell), COPIED),
        (not own_words, GENERIC),
        (not (found.context and found.features), NO_FEATURES),
        (named and cell.region not in named, OTHER_CULTURE),
        (kind and KINDS[kind] != cell.category, OTHER_CATEGORY),
    )
    return name_problem(found.name) or next((reason for broken, reason in rules if broken), "")


def _example_names(prompt: Prompt, cell: Cell) -> set[str]:
    """Return the keys of names in the worked examples, those about the cell's region left out."""
    region = fold(region_name(cell.region))
    foreign = [example for example in prompt.examples if fold(example.fields.get("region", "")) != region]
    names = (re.findall(r'"name"\s*:\s*"([^"]+)"', example.answer) for example in foreign)
    return {name_key(name) for found in names for name in found}


def _region_words(region: str) -> set[str]:
    return _words(" ".join((region_name(region), *adjectives().get(region, ()))))


def _words(text: str) -> set[str]:
    """Return words in lower case without accents, and without the s of a plural."""
    return {word.removesuffix("s") for word in _WORD.findall(fold(text))}
