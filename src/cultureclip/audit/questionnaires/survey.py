"""The survey: every question, in every wording and order of its options, as people of every country and as nobody."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pandas as pd

from cultureclip.audit.measures.awareness import AWARE, UNAWARE
from cultureclip.audit.questionnaires.answers import ANSWERS, read_option, shorten
from cultureclip.audit.questionnaires.asking import Asker
from cultureclip.audit.questionnaires.prompts import AWARE_SPEAKER, SURVEY, UNAWARE_SPEAKER, list_wordings
from cultureclip.audit.settings import InterviewSettings, Order
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.request import Request, Sampling
from cultureclip.prompts import plain
from cultureclip.tables import make_table


@dataclass(frozen=True)
class _Cell:
    """One question to ask: what of, whose answer, in which words."""

    item: str
    topic: str
    question: str
    options: tuple[str, ...]
    mode: str
    country: str
    stratum: str
    template: str
    order: Order
    repeat: int

    @property
    def wording(self) -> str:
        return f"{self.template.removeprefix(SURVEY)}, {self.order}"

    @property
    def listed(self) -> tuple[str, ...]:
        """The options in the order in which they are listed."""
        return self.options if self.order == "given" else self.options[::-1]

    def in_file_order(self, listed: int | None) -> int | None:
        """Return the number in the questionnaire of the option that was listed under a number."""
        return listed if listed is None or self.order == "given" else len(self.options) + 1 - listed


def ask_survey(
    questions: pd.DataFrame, countries: Mapping[str, Sequence[str]], settings: InterviewSettings, asker: Asker
) -> pd.DataFrame:
    """Ask the questionnaire.

    Args:
        questions: Table QUESTIONS.
        countries: Item -> the countries whose people it is answered as, beside nobody in particular.
        settings: How it is asked, and how often.
        asker: Who is asked.

    Returns:
        Table ANSWERS: a row per question that was asked.
    """
    cells = list(_plan(questions, countries, settings, list_wordings(asker.prompt)))
    sampling = Sampling(
        max_tokens=settings.max_new_tokens, temperature=settings.temperature, top_p=settings.top_p, stop="\n"
    )
    requests = [_request(cell, settings.personas, sampling, asker) for cell in cells]
    rows = []
    for cell, answer in zip(cells, asker.answer(requests, "survey"), strict=True):
        listed, why_not = read_option(answer, cell.listed, settings.refusals)
        rows.append(
            _row(cell) | {"option": cell.in_file_order(listed), "why_not": why_not, "text": shorten(answer.text)}
        )
    return make_table(rows, ANSWERS).astype({"option": "Int64", "why_not": "str", "text": "str"})


def count_questions(
    questions: pd.DataFrame, countries: Mapping[str, Sequence[str]], settings: InterviewSettings, wordings: int
) -> int:
    """Return how many questions a survey asks."""
    speakers = sum(len(countries[item]) * len(settings.personas) + 1 for item in questions["item"])
    return speakers * wordings * len(settings.orders) * settings.repeats


def _plan(
    questions: pd.DataFrame, countries: Mapping[str, Sequence[str]], settings: InterviewSettings, wordings: list[str]
) -> Iterator[_Cell]:
    for item, topic, question, options in questions[["item", "topic", "question", "options"]].itertuples(index=False):
        speakers = [(UNAWARE, "", ""), *((AWARE, *pair) for pair in product(countries[item], settings.personas))]
        for speaker, template, order in product(speakers, wordings, settings.orders):
            for repeat in range(settings.repeats):
                yield _Cell(item, topic, question, tuple(options), *speaker, template, order, repeat)


def _request(cell: _Cell, personas: Mapping[str, str], sampling: Sampling, asker: Asker) -> Request:
    templates = asker.prompt.templates
    speaker = (
        templates[UNAWARE_SPEAKER].format_map({})
        if cell.mode == UNAWARE
        else templates[AWARE_SPEAKER].format_map(
            {"persona": plain(personas[cell.stratum]), "country": plain(cell.country)}
        )
    )
    options = "\n".join(f"{number}. {option}" for number, option in enumerate(cell.listed, 1))
    fields = {"speaker": speaker, "question": cell.question, "options": options, "count": str(len(cell.options))}
    # The seed is of the question and of whose answer it is, so that no two draws use the same noise.
    seed = digest(
        "audit", asker.seed, cell.item, cell.mode, cell.country, cell.stratum, cell.template, cell.order, cell.repeat
    )
    return Request(turns=asker.prompt.ask(cell.template, fields), sampling=sampling, seed=seed_from_id(seed))


def _row(cell: _Cell) -> dict[str, Any]:
    names = ("item", "topic", "country", "stratum", "mode", "wording", "repeat")
    return {name: getattr(cell, name) for name in names} | {"options": len(cell.options)}
