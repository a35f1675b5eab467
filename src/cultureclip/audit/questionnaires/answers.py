"""Answers to survey questions: which option an answer is, or why it is none."""

import re
import unicodedata
from collections.abc import Sequence

import pandera.pandas as pa

from cultureclip.audit.measures.awareness import AWARE, UNAWARE
from cultureclip.audit.questionnaires.questionnaire import MOST_OPTIONS
from cultureclip.audit.questionnaires.survey_file import fold
from cultureclip.models.chat.request import Answer

REFUSED, CUT_OFF, OUT_OF_RANGE, UNPARSABLE = "refused", "cut_off", "out_of_range", "unparsable"
WHY_NOT = (REFUSED, CUT_OFF, OUT_OF_RANGE, UNPARSABLE)

ANSWERS = pa.DataFrameSchema(
    {
        "item": pa.Column(str),
        "topic": pa.Column(str),
        "country": pa.Column(str),  # empty where the model was not told whose answers are wanted
        "stratum": pa.Column(str),  # name of the persona, likewise
        "mode": pa.Column(str, pa.Check.isin((AWARE, UNAWARE))),
        "wording": pa.Column(str),  # template and order of the options
        "repeat": pa.Column(int, pa.Check.ge(0)),
        "options": pa.Column(int, pa.Check.in_range(2, MOST_OPTIONS)),  # how many there are
        "option": pa.Column("Int64", pa.Check.in_range(1, MOST_OPTIONS), nullable=True),  # in the questionnaire's order
        "why_not": pa.Column(str, pa.Check.isin(WHY_NOT), nullable=True),  # why there is no option
        "text": pa.Column(str),  # the answer's beginning
    },
    strict=True,
    unique=["item", "country", "stratum", "mode", "wording", "repeat"],
)

_NUMBER = re.compile(r"[(\[]?\s*(?P<number>\d{1,4})\s*[)\]]?\s*(?:[.:,)\-]\s*)?(?P<rest>.*)")
_OPENING = "\"'“‘« "
_ENDING = ".。!\"'”’»）) "


def read_option(answer: Answer, options: Sequence[str], refusals: Sequence[str]) -> tuple[int | None, str | None]:
    """Read which of the listed options an answer is.

    An answer is an option if it is the option's number, in the digits of any script; or its text; or both, and nothing
    else. Case, spaces and a full stop at the end do not matter. Anything else is none: a number within a sentence may
    be of another thing.

    Args:
        answer: A model's answer.
        options: The options as they were listed, numbered from 1.
        refusals: Phrases of refusals.

    Returns:
        The option's number and None; or None and one of WHY_NOT.
    """
    if answer.finish == "refused":
        return None, REFUSED
    text, *texts = (_bare(one) for one in (answer.text, *options))
    if answer.finish != "length":
        if text in texts:
            return texts.index(text) + 1, None
        if found := _NUMBER.fullmatch(text):
            number, rest = int(found["number"]), found["rest"].rstrip(_ENDING)
            if not rest and not 1 <= number <= len(options):
                return None, OUT_OF_RANGE
            if 1 <= number <= len(options) and rest in ("", texts[number - 1]):
                return number, None
    if any(fold(phrase) in text for phrase in refusals):
        return None, REFUSED
    return None, CUT_OFF if answer.finish == "length" else UNPARSABLE


def _bare(text: str) -> str:
    """Return a text without what may stand around an answer: quotes before it, quotes and a full stop behind it."""
    return fold(text).rstrip(_ENDING).lstrip(_OPENING)


def shorten(text: str, length: int = 200) -> str:
    """Return the beginning of an answer, without characters that no file or page can hold."""
    kept = "".join(c if unicodedata.category(c) not in {"Cs", "Cc"} else " " for c in text)
    return kept[:length].strip()
