"""Questions about titles to a (vision-)language model: is it a cultural concept, and of which category?

The first question has two answers and is asked twice, the answers exchanged, so that a liking for one cancels. A model
in this process gives the log-probabilities of both; of a model at a server the answer itself counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, Literal

import numpy as np
from PIL import Image

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import ConfigurationError
from cultureclip.ids import digest
from cultureclip.models.chat.asking import Usage, ask
from cultureclip.models.chat.request import ChatModel, OptionScorer, Picture, Request, Sampling, Structured, Turn
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt

CONCEPT, CLASSIFY = "concept", "classify"
"""Templates of ``prompts/bottom_up.yml`` and ``prompts/category.yml``."""

YES, NO = "yes", "no"
"""Answers of the worked examples in ``prompts/bottom_up.yml``; the model reads the two options in their place."""

_FIELDS = frozenset({"title", "context"})
_SLICE = 512
"""Titles asked and stored together: the most that a crash can lose."""
_ANSWER_TOKENS, _CATEGORY_TOKENS = 4, 32


class CategoryAnswer(Structured):
    """A model's answer to the question for a category."""

    category: Literal[
        "Cuisine", "Clothing", "Animals & Plants", "Art", "Architecture", "Daily Life", "Symbol", "Festival"
    ]


@dataclass(frozen=True)
class Title:
    """What a model is told of a thing.

    Attributes:
        title: Its name.
        context: A sentence on it; may be empty.
        picture: What its picture is read from; None where it has none, or the model sees none.
    """

    title: str
    context: str = ""
    picture: str | None = None


@dataclass(frozen=True)
class TitleAsker:
    """A model that is asked about titles, and where its answers are kept.

    Attributes:
        model: Who is asked.
        concept_prompt: From :func:`read_concept_prompt`.
        category_prompt: From :func:`read_category_prompt`.
        options: The two answers of the first question.
        tries: Most times that a question is asked until its answer is one of those.
        store: Store of the answers.
        read: Reads a picture from what :class:`Title` has; None: pictures are not shown.
        usage: Counts to add to.
    """

    model: ChatModel
    concept_prompt: Prompt
    category_prompt: Prompt
    options: tuple[str, str]
    tries: int
    store: KeyedStore
    read: Callable[[str], Image.Image] | None
    usage: Usage

    def score(self, titles: Sequence[Title]) -> np.ndarray:
        """Return how much rather each title is a concept than not, float64 [N].

        Log-odds in nats of a model that shows its probabilities, else 1, 0 (it took one option both times) or -1;
        NaN where it gave neither answer.
        """
        yes, no = self.options
        ways = ((yes, no), (no, yes))
        if isinstance(self.model, OptionScorer):
            first, second = (self._log_odds(self.model, titles, *way) for way in ways)
        else:
            first, second = (self._answers(titles, *way) for way in ways)
        return np.asarray((first - second) / 2)

    def classify(self, titles: Sequence[Title]) -> list[str | None]:
        """Return the category of each title; None where the model gives none."""
        requests = [
            Request(
                turns=self._show(self.category_prompt.ask(CLASSIFY, _fields(title)), title),
                sampling=Sampling(max_tokens=_CATEGORY_TOKENS),
                seed=0,
                schema=CategoryAnswer,
            )
            for title in titles
        ]
        outcomes = ask(self.model, requests, self.store, self.tries, self.usage)
        return [o.value.category if isinstance(o.value, CategoryAnswer) else None for o in outcomes]

    def _log_odds(self, model: OptionScorer, titles: Sequence[Title], yes: str, no: str) -> np.ndarray:
        """Return log-odds of the first option against the second, where the first is ``yes`` or ``no``.

        Titles are asked in fixed slices, sorted by length to save padding: a run that was cut short asks whole slices
        again and so gets the same numbers as one that was not.
        """
        keys = [digest("option", self._question(t, yes, no).key(self.model.fingerprint), self.options) for t in titles]
        title_of = dict(zip(keys, titles, strict=True))
        ordered = sorted(title_of, key=lambda key: (len(title_of[key].title), title_of[key].title, key))
        kept = self.store.get(ordered)
        self.usage.kept += len(kept)
        slices = [ordered[start : start + _SLICE] for start in range(0, len(ordered), _SLICE)]
        open_slices = [part for part in slices if any(key not in kept for key in part)]
        total = sum(map(len, open_slices))
        with progress_bar(total=total, desc="ask about titles", disable=not total) as bar:
            for part in open_slices:
                self.model.load()
                made: dict[str, float] = {}
                for batch in model.score([self._question(title_of[key], yes, no) for key in part], self.options):
                    made |= {part[place]: round(first - second, 6) for place, (first, second) in batch}
                    bar.update(len(batch))
                self.store.put(made)
                self.usage.asked += len(made)
        answers = self.store.get(ordered)
        return np.array([answers[key] for key in keys], float)

    def _answers(self, titles: Sequence[Title], yes: str, no: str) -> np.ndarray:
        requests = [self._question(title, yes, no) for title in titles]
        outcomes = ask(self.model, requests, self.store, self.tries, self.usage, accept=self.options)
        value = {self.options[0]: 1.0, self.options[1]: -1.0}
        return np.array([np.nan if o.failed else value[o.text] for o in outcomes], float)

    def _question(self, title: Title, yes: str, no: str) -> Request:
        system, *turns, last = self.concept_prompt.ask(CONCEPT, _fields(title))
        word = {YES: yes, NO: no}
        shown = [Turn(t.role, (word[t.text],)) if t.role == "assistant" else t for t in turns]
        told = Turn("system", (system.text.format(yes=yes, no=no),))
        sampling = Sampling(max_tokens=_ANSWER_TOKENS)
        return Request(turns=self._show((told, *shown, last), title), sampling=sampling, seed=0)

    def _show(self, turns: Sequence[Turn], title: Title) -> tuple[Turn, ...]:
        if self.read is None or title.picture is None:
            return tuple(turns)
        return (*turns[:-1], Turn("user", (Picture.of(self.read(title.picture)), *turns[-1].parts)))


def read_concept_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/bottom_up.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt, its system turn does not name both answers, or an example's
            answer is neither.
    """
    prompt = read_prompt(content, "bottom_up", {CONCEPT: _FIELDS})
    try:
        fields = {field for _, field, _, _ in Formatter().parse(prompt.system) if field is not None}
    except ValueError:
        fields = set()
    if fields != {YES, NO}:
        cause = "it must name the answers as {yes} and {no}, and no other field"
        raise ConfigurationError("prompt bottom_up: system", cause, "Correct the prompt file")
    for number, example in enumerate(prompt.examples):
        if example.answer not in (YES, NO):
            cause = f"{example.answer!r} is neither yes nor no"
            raise ConfigurationError(f"prompt bottom_up: examples.{number}", cause, 'Write "yes" or "no", in quotes')
    return prompt


def read_category_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/category.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "category", {CLASSIFY: _FIELDS})


def _fields(title: Title) -> Mapping[str, str]:
    return {"title": plain(title.title)[:FIELD_LIMIT], "context": plain(title.context)[:FIELD_LIMIT]}
