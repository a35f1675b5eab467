"""Open questions, asked: an answer, its units, a judgement of each, and a critique in the culture's language."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd

from cultureclip.audit.questionnaires.answers import shorten
from cultureclip.audit.questionnaires.asking import Asker
from cultureclip.audit.questionnaires.prompts import CRITIQUE, OPEN, SUPPORTED, UNITS
from cultureclip.audit.questionnaires.survey_file import fold
from cultureclip.audit.settings import KnowledgeSettings
from cultureclip.audit.tasks.knowledge import KnowledgeUnits, UnitScores, parse_judgement, score_units
from cultureclip.audit.tasks.open_questions import OpenQuestion
from cultureclip.captions.language import is_written_in, language_name
from cultureclip.ids import digest, seed_from_id
from cultureclip.models.chat.asking import ask
from cultureclip.models.chat.request import Answer, Request, Sampling, Structured
from cultureclip.prompts import plain

_LONGEST = 4000
_JUDGEMENT_TOKENS = 8
ANSWER_UNIT, KNOWN_UNIT = "answer", "known"
"""Sides of a judgement: a unit of the answer against what is known, and the other way round."""

UNIT_COLUMNS = ("question", "side", "unit", "holds", "judgement")
ANSWER_COLUMNS = (
    *("group", "topic", "language", "question", "answer", "why_not", "units", "known", "unread"),
    *("precision", "recall", "f1", "critique", "critique_in_language"),
)


def ask_open_questions(
    questions: Sequence[OpenQuestion], settings: KnowledgeSettings, asker: Asker, judge: Asker
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ask open questions, and have the answers judged unit by unit.

    Args:
        questions: The questions.
        settings: Lengths.
        asker: Who answers.
        judge: Who cuts answers into units, judges and criticises them.

    Returns:
        A row per question: ``answer``, ``why_not`` (``no_answer`` or ``no_units``, null where it was judged), numbers
        of units and of judgements that could not be read, scores, ``critique`` and whether it is in the language that
        was asked for (null where the language cannot be told). And a row per judged unit.
    """
    texts = [_usable(answer) for answer in _answer(questions, settings, asker)]
    units = _list_units(questions, texts, settings, judge)
    judged = _judge(questions, units, judge)
    critiques = _criticise(questions, texts, judged, settings, judge)
    rows, details = [], []
    for place, question in enumerate(questions):
        found = units[place]
        sides = judged[place]
        holds = {side: [one["holds"] for one in sides if one["side"] == side] for side in (ANSWER_UNIT, KNOWN_UNIT)}
        why = "no_answer" if texts[place] is None else "no_units" if found is None else None
        # an answer without units covers nothing, which needs no judge
        covered = holds[KNOWN_UNIT] or [None] * len(question.units)
        scores = UnitScores(None, None) if why else score_units(holds[ANSWER_UNIT], covered)
        rows.append(
            {
                **{name: getattr(question, name) for name in ("group", "topic", "language", "question")},
                "answer": texts[place] or "",
                "why_not": why,
                "units": len(found or ()),
                "known": len(question.units),
                "unread": sum(one["holds"] is None for one in sides),
                **{name: getattr(scores, name) for name in ("precision", "recall", "f1")},
                "critique": critiques[place],
                "critique_in_language": _is_in(critiques[place], question.language),
            }
        )
        details += sides
    answers = pd.DataFrame(rows, columns=list(ANSWER_COLUMNS)).astype(
        dict.fromkeys(("precision", "recall", "f1"), "float64") | {"critique_in_language": "boolean"}
    )
    return answers, pd.DataFrame(details, columns=list(UNIT_COLUMNS)).astype({"holds": "boolean"})


def _answer(questions: Sequence[OpenQuestion], settings: KnowledgeSettings, asker: Asker) -> list[Answer]:
    fields = [{"question": one.question, "group": one.group} for one in questions]
    return _ask(asker, OPEN, fields, settings.max_answer_tokens, "open questions")


def _usable(answer: Answer) -> str | None:
    """Return the text of an answer; one that was cut off is judged by what it says. None: nothing was said."""
    text = shorten(answer.text, _LONGEST)
    return text if text and answer.finish != "refused" else None


def _list_units(
    questions: Sequence[OpenQuestion], texts: Sequence[str | None], settings: KnowledgeSettings, judge: Asker
) -> list[tuple[str, ...] | None]:
    """Return the units of each answer; None where it was not answered, or the list could not be read."""
    answered = [place for place, text in enumerate(texts) if text is not None]
    fields = [{"question": questions[place].question, "answer": plain(texts[place] or "")} for place in answered]
    requests = _requests(judge, UNITS, fields, settings.max_units_tokens, KnowledgeUnits)
    outcomes = ask(judge.model, requests, judge.store, settings.tries, judge.usage)
    found: list[tuple[str, ...] | None] = [None] * len(texts)
    for place, outcome in zip(answered, outcomes, strict=True):
        found[place] = outcome.value.units if isinstance(outcome.value, KnowledgeUnits) else None
    return found


def _judge(
    questions: Sequence[OpenQuestion], units: Sequence[tuple[str, ...] | None], judge: Asker
) -> list[list[dict[str, Any]]]:
    """Judge each unit of either side against all of the other side; an empty side needs no judge."""
    places, fields = [], []
    for place, (question, found) in enumerate(zip(questions, units, strict=True)):
        for side, these, those in ((ANSWER_UNIT, found or (), question.units), (KNOWN_UNIT, question.units, found)):
            for unit in these if those else ():
                places.append((place, side, unit))
                fields.append({"unit": plain(unit), "facts": "\n".join(f"- {plain(fact)}" for fact in those or ())})
    judged: list[list[dict[str, Any]]] = [[] for _ in questions]
    answers = _ask(judge, SUPPORTED, fields, _JUDGEMENT_TOKENS, "judgements")
    for (place, side, unit), answer in zip(places, answers, strict=True):
        row = {"question": questions[place].question, "side": side, "unit": unit}
        judged[place].append(row | {"holds": parse_judgement(answer.text), "judgement": shorten(answer.text)})
    return judged


def _criticise(
    questions: Sequence[OpenQuestion],
    texts: Sequence[str | None],
    judged: Sequence[Sequence[dict[str, Any]]],
    settings: KnowledgeSettings,
    judge: Asker,
) -> list[str]:
    """Return a critique of each answer in its culture's language; empty where there is no answer."""
    answered = [place for place, text in enumerate(texts) if text is not None]
    fields = []
    for place in answered:
        wrong = {
            side: [u["unit"] for u in judged[place] if u["side"] == side and u["holds"] is False]
            for side in (ANSWER_UNIT, KNOWN_UNIT)
        }
        fields.append(
            {
                "question": questions[place].question,
                "answer": plain(texts[place] or ""),
                "unsupported": " ".join(map(plain, wrong[ANSWER_UNIT])) or "-",
                "missing": " ".join(map(plain, wrong[KNOWN_UNIT])) or "-",
                "language": questions[place].language,
            }
        )
    found = [""] * len(texts)
    for place, answer in zip(
        answered, _ask(judge, CRITIQUE, fields, settings.max_critique_tokens, "critiques"), strict=True
    ):
        found[place] = _usable(answer) or ""
    return found


def _ask(asker: Asker, template: str, fields: Sequence[dict[str, str]], tokens: int, name: str) -> list[Answer]:
    return asker.answer(_requests(asker, template, fields, tokens), name)


def _requests(
    asker: Asker,
    template: str,
    fields: Sequence[dict[str, str]],
    tokens: int,
    schema: type[Structured] | None = None,
) -> list[Request]:
    sampling, seed = Sampling(max_tokens=tokens), seed_from_id(digest(template, asker.seed))
    return [
        Request(turns=asker.prompt.ask(template, one), sampling=sampling, seed=seed, schema=schema) for one in fields
    ]


def _is_in(text: str, language: str) -> bool | None:
    """Tell whether a critique is in the language that was asked for; None if that cannot be told."""
    code = _code_of(language)
    return None if code is None or not text else is_written_in(text, code)


@cache
def _code_of(language: str) -> str | None:
    """Return the ISO 639-1 code of a language by its English name; None if no text in it can be recognised."""
    from babel import Locale

    names = Locale("en").languages
    code = next((code for code, name in names.items() if len(code) == 2 and fold(name) == fold(language)), None)
    try:
        return None if code is None or not language_name(code) else code
    except ValueError:
        return None
