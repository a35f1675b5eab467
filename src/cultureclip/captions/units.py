"""Captions as units: the small statements that a caption is made of, each of which can be true or false.

After CulFiT (arXiv 2505.19484, equations 8 to 12): with m units in an answer and n in the gold,
precision = supported units of the answer / m, recall = gold units that the answer covers / n.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cultureclip.captions.checks import features_shown
from cultureclip.captions.cultures import is_adjective_of, names_culture
from cultureclip.captions.facts import ConceptFacts, content_words, describe_facts, stem, tokens_of, words_of
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.chat.asking import ask
from cultureclip.models.chat.request import ChatModel, Request, Sampling, Structured
from cultureclip.prompts import FIELD_LIMIT, Prompt

_BORDERS = re.compile(
    r"\s*[,;:.!?]\s*|\s+(?:and|with|from|in|on|at|for|by|during|under|over|beside|near|against|worn|used|served|made)\s+",
    re.IGNORECASE,
)

FREE = frozenset(
    words_of(
        "picture photo image drawing illustration traditional typical classic famous iconic style look looking seen "
        "shown showing worn used one single whole piece part kind type thing"
    )
)
"""Stems of words that state nothing."""

ANSWER_TOKENS = 16
"""Most tokens of a checker's answer."""


class FactChecker(Protocol):
    """Whatever can tell whether statements follow from what is known of a concept."""

    def support(self, statements: Sequence[tuple[str, ConceptFacts]]) -> list[bool | None]:
        """Tell for each statement whether the facts support it; None where there is no answer."""


@dataclass(frozen=True)
class UnitReport:
    """Units of a caption and how far the facts support them.

    Attributes:
        units: The statements.
        supported: For each, whether the concept's facts support it; None where the checker had no answer.
        precision: Supported units / units; a unit without an answer is not supported.
        recall: Key visual features and cultures that the caption shows / all of them.
    """

    units: tuple[str, ...]
    supported: tuple[bool | None, ...]
    precision: float
    recall: float

    @property
    def problems(self) -> tuple[str, ...]:
        """The units that the facts do not support."""
        return tuple(unit for unit, known in zip(self.units, self.supported, strict=True) if not known)


def split_units(caption: str) -> tuple[str, ...]:
    """Split a caption at punctuation, ``and`` and the words that add a statement; parts without content are dropped."""
    return tuple(part for part in (p.strip() for p in _BORDERS.split(caption)) if content_words(part) - FREE)


def report_units(captions: Sequence[tuple[str, ConceptFacts]], checker: FactChecker) -> list[UnitReport]:
    """Check the units of many captions at once.

    Args:
        captions: Each with the facts of its concept.
        checker: Who tells whether a unit is supported.
    """
    split = [split_units(text) for text, _ in captions]
    statements = [(unit, facts) for units, (_, facts) in zip(split, captions, strict=True) for unit in units]
    answers = iter(checker.support(statements))
    reports = []
    for units, (text, facts) in zip(split, captions, strict=True):
        supported = tuple(next(answers) for _ in units)
        precision = sum(map(bool, supported)) / len(units) if units else 0.0
        reports.append(UnitReport(units, supported, precision, _coverage(text, facts)))
    return reports


def _coverage(text: str, facts: ConceptFacts) -> float:
    """Share of the features and cultures that a caption shows."""
    gold = len(facts.features) + len(facts.regions)
    shown = len(features_shown(text, facts)) + sum(names_culture(text, code) for code in facts.regions)
    return shown / gold if gold else 0.0


class WordChecker:
    """Supports a statement when every word of it that carries meaning is known of the concept.

    Known are its names, cultures with their adjectives, context and features, by their stems; :data:`FREE` words state
    nothing. It cannot see that known words are put together wrongly.
    """

    def support(self, statements: Sequence[tuple[str, ConceptFacts]]) -> list[bool | None]:
        """Tell for each statement whether all its words are known."""
        return [_is_known(statement, facts) for statement, facts in statements]


def _is_known(statement: str, facts: ConceptFacts) -> bool:
    known = set(words_of(" ".join((*facts.names, *facts.cultures, facts.context, *facts.features)))) | FREE
    carrying = content_words(statement)
    return all(
        stem(token) in known or any(is_adjective_of(token, code) for code in facts.regions)
        for token in tokens_of(statement)
        if stem(token) in carrying
    )


class _Verdict(Structured):
    """The answer of a model that checks a statement."""

    supported: bool


class ModelChecker:
    """Asks a chat model whether the facts support a statement; answers are kept like all others.

    Args:
        model: Who is asked; better not the one that wrote the captions.
        prompt: A prompt with the template ``check``.
        store: Where answers are kept.
        tries: Most times that a question is asked.
    """

    def __init__(self, model: ChatModel, prompt: Prompt, store: KeyedStore, tries: int = 2) -> None:
        self._model, self._prompt, self._store, self._tries = model, prompt, store, tries

    def support(self, statements: Sequence[tuple[str, ConceptFacts]]) -> list[bool | None]:
        """Tell for each statement what the model says; None where it gives no answer of the form asked for."""
        sampling = Sampling(max_tokens=ANSWER_TOKENS)
        requests = [
            Request(
                turns=self._prompt.ask("check", {"statement": statement, "facts": describe_facts(facts, FIELD_LIMIT)}),
                sampling=sampling,
                seed=0,
                schema=_Verdict,
            )
            for statement, facts in statements
        ]
        outcomes = ask(self._model, requests, self._store, self._tries)
        return [outcome.value.supported if isinstance(outcome.value, _Verdict) else None for outcome in outcomes]
