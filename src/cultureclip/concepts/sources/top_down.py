"""Top-down: a language model names the concepts of each region and category, and is asked about each one.

Every question asks for several concepts, each with its context and key visual features, as one JSON object. A cell (a
region and a category) that has too few good ones is asked about again, told what it has named. All answers are kept, so
a run that was cut short asks only what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from cultureclip.concepts.proposals import (
    CHECK,
    MORE,
    PROPOSE,
    UNCHECKED,
    Cell,
    Known,
    Opinion,
    Proposal,
    Proposals,
    find_problem,
    useful_features,
)
from cultureclip.concepts.regions import list_countries, region_name
from cultureclip.concepts.sources.found import Found, Row, tidy_texts
from cultureclip.concepts.sources.kinds import KINDS, KindFinder
from cultureclip.concepts.sources.source import Category, Material, Region, Source, Terms
from cultureclip.concepts.sources.tally import Tally
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import Outcome, Usage, ask
from cultureclip.models.chat.request import ChatModel, Request, Sampling
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain
from cultureclip.tables import CATEGORIES

NO_ANSWER = {
    "refused": "the model declined to answer",
    "cut_off": "answer cut off",
    "unparsable": "answer of another form",
}
"""Reason of a failed question -> why it gave no concept."""

_CHECK_TOKENS = 48
_KINDS = KindFinder(KINDS)


@dataclass(frozen=True)
class Proposed:
    """What came of one concept in an answer, or of a question that was not answered.

    Attributes:
        cell: What was asked for.
        request: The question.
        outcome: Its outcome.
        row: The concept, with its problem if it is none; None where there is no answer.
        place: Which concept of which question, for messages.
        problem: Why there is no concept; empty if there is one.
        check: The question about the concept; None where none was asked.
    """

    cell: Cell
    request: Request
    outcome: Outcome
    row: Row | None
    place: str
    problem: str
    check: Request | None = None


class TopDownSource(Source):
    """Concepts named by a language model.

    Attributes:
        title: Name of the source, as ``concepts.source`` has it.
        language_model: Who is asked for concepts.
        checker: Who is asked about each concept that the rules of words let pass; None: nobody.
        regions: Region codes to ask about; None: the countries and territories of ISO 3166-1 that people live in.
        categories: Categories to ask about.
        concepts: Good concepts wanted of each region and category; each question asks for as many as are lacking.
        questions: Most questions about a region and category.
        tries: Most times that one question is asked until its answer has the right form.
        max_new_tokens: Most tokens of an answer.
        temperature: Of sampling; 0 takes the likeliest token.
        top_p: Of nucleus sampling.
        seed: Seed of the questions.
        licence: Licence of what the model writes, as an SPDX expression.
        terms: Use that is allowed of what comes from it.
    """

    kind: Literal["top_down"]
    title: str = Field(default="top-down", min_length=1)
    language_model: ChatSettings
    checker: ChatSettings | None = None
    regions: tuple[Region, ...] | None = Field(default=None, min_length=1)
    categories: tuple[Category, ...] = Field(default=CATEGORIES, min_length=1)
    concepts: int = Field(default=5, ge=1, le=20)
    questions: int = Field(default=2, ge=1, le=20)
    tries: int = Field(default=2, ge=1, le=20)
    max_new_tokens: int = Field(default=1024, ge=16, le=8192)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    seed: int = Field(default=42, ge=0)
    licence: str = Field(min_length=1)
    terms: Terms = "train"

    def cells(self) -> list[Cell]:
        """Return what is asked about, region by region."""
        regions = list_countries() if self.regions is None else tuple(dict.fromkeys(self.regions))
        return [Cell(region, category) for region in regions for category in dict.fromkeys(self.categories)]

    def rows(self, tally: Tally, material: Material) -> Iterator[Row]:
        """Yield the concepts, good and bad ones, and count the questions without an answer.

        Raises:
            ConfigurationError: if there is no store or no prompt to ask with.
        """
        usage = Usage()
        for proposed in self.propose(self.cells(), tally, material, usage):
            tally.rows += 1
            if proposed.row is None:
                tally.drop(proposed.problem, proposed.place)
                tally.note("answer", proposed.outcome.cause or "")
            else:
                yield proposed.row
        tally.usage = usage.to_metrics(self.language_model.prices)

    def propose(self, cells: Sequence[Cell], tally: Tally, material: Material, usage: Usage) -> Iterator[Proposed]:
        """Ask about cells until each has enough good concepts, or no questions are left.

        Args:
            cells: What to ask about.
            tally: Where texts that were left out are counted.
            material: Store and prompt.
            usage: Counts to add to.

        Yields:
            Every concept that was named, and every question that was not answered, question by question.
        """
        from cultureclip.models.chat.open import open_chat_model  # the torch import takes seconds

        if material.store is None or material.top_down_prompt is None:
            raise ConfigurationError("mining.sources: top_down", "no store or no prompt", "Give both in Material")
        asker = _Asker(self, material.store, material.top_down_prompt, open_chat_model(self.language_model), usage)
        checker = None if self.checker is None else replace(asker, model=open_chat_model(self.checker))
        known = {cell: Known() for cell in cells}
        for number in range(self.questions):
            lacking = [cell for cell in cells if known[cell].good < self.concepts]
            found = list(asker.ask(lacking, known, number, tally))
            for proposed in found if checker is None else checker.check(found):
                known[proposed.cell].good += not proposed.problem
                yield proposed


@dataclass(frozen=True)
class _Asker:
    """A model, how it is asked, and where its answers are kept."""

    source: TopDownSource
    store: KeyedStore
    prompt: Prompt
    model: ChatModel
    usage: Usage

    def ask(self, cells: Sequence[Cell], known: Mapping[Cell, Known], number: int, tally: Tally) -> Iterator[Proposed]:
        """Ask one question about each cell, and judge the answers by their words."""
        requests = [self._question(cell, known[cell], number) for cell in cells]
        outcomes = ask(self.model, requests, self.store, self.source.tries, self.usage)
        for cell, request, outcome in zip(cells, requests, outcomes, strict=True):
            place = f"{cell}, question {number + 1}"
            if not isinstance(outcome.value, Proposals):
                reason = NO_ANSWER[outcome.reason or "unparsable"]
                yield Proposed(cell, request, outcome, None, place, reason)
                continue
            for item, proposal in enumerate(outcome.value.concepts, 1):
                found = self._find(proposal, cell, f"{place}, concept {item}", tally)
                problem = find_problem(found, cell, known[cell], self.prompt)
                known[cell].names.append(found.name)
                yield Proposed(cell, request, outcome, self._row(found, cell, problem), found.place, problem)

    def check(self, proposals: Sequence[Proposed]) -> Iterator[Proposed]:
        """Ask about every concept that has no problem yet."""
        open_ones = [one for one in proposals if one.row is not None and not one.problem]
        requests = [self._about(one.row.found, one.cell) for one in open_ones if one.row is not None]
        outcomes = ask(self.model, requests, self.store, self.source.tries, self.usage)
        answered = iter(zip(requests, outcomes, strict=True))
        for one in proposals:
            if one.row is None or one.problem:
                yield one
                continue
            request, outcome = next(answered)
            problem = outcome.value.problem if isinstance(outcome.value, Opinion) else UNCHECKED
            yield replace(one, row=replace(one.row, problem=problem), problem=problem, check=request)

    def _question(self, cell: Cell, known: Known, number: int) -> Request:
        source = self.source
        fields = {
            "region": region_name(cell.region),
            "category": cell.category,
            "number": str(source.concepts - known.good),
            "known": plain(", ".join(known.names))[:FIELD_LIMIT],
        }
        return Request(
            turns=self.prompt.ask(MORE if known.names else PROPOSE, fields),
            sampling=Sampling(max_tokens=source.max_new_tokens, temperature=source.temperature, top_p=source.top_p),
            seed=seed_from_id(digest("top-down seed", source.seed, cell.region, cell.category, number)),
            schema=Proposals,
        )

    def _about(self, found: Found, cell: Cell) -> Request:
        fields = {
            "name": found.name,
            "region": region_name(cell.region),
            "category": cell.category,
            "context": found.context,
            "features": ", ".join(found.features),
        }
        turns = self.prompt.ask(CHECK, {name: plain(text)[:FIELD_LIMIT] for name, text in fields.items()})
        return Request(turns=turns, sampling=Sampling(max_tokens=_CHECK_TOKENS), seed=0, schema=Opinion)

    def _find(self, proposal: Proposal, cell: Cell, place: str, tally: Tally) -> Found:
        found = Found(
            place=place,
            name=proposal.name,
            countries=(cell.region,),
            category=cell.category,
            ref=f"{self.model.name}, prompt {self.prompt.id}, {place}",
            universal=_KINDS.last(proposal.name) or _KINDS.first(proposal.context),
            context=proposal.context,
            features=proposal.features,
        )
        found = tidy_texts(found, tally)
        return replace(found, features=useful_features(found.name, found.features))

    def _row(self, found: Found, cell: Cell, problem: str) -> Row:
        source = self.source
        return Row(
            found=found,
            cultures=(cell.region,),
            category=cell.category,
            source=source.title,
            licence=source.licence,
            terms=source.terms,
            problem=problem,
        )
