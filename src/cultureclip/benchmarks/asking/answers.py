"""Read what a chat model answered: a letter, yes or no, a caption. What cannot be read is no answer, never a guess."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cultureclip.models.chat.request import Answer

Why = Literal["cut_off", "refused", "unparsable"]
"""Why an answer does not count: its limit of tokens cut it off before it said anything; the model declined; it says
nothing that was asked for."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SAID = re.compile(r"(?i:\banswer(?:\s+is)?)\s*:?\s*[*(]*([A-Z])(?=[*]*[).:]|[*)\s]*(?:\n|$))")
_FIRST = re.compile(r"[*(\s]*([A-Z])[*]*[).:]")
_ALONE = re.compile(r"[*(\s]*([A-Za-z])[*).\s]*")
_YES_NO = re.compile(r"(?:\W*answer\s*:)?\W*(yes|no)\b", re.IGNORECASE)
_DECLINED = re.compile(
    r"\W*(?:i['’]?m sorry|i am sorry|sorry|i can['’]?t|i cannot|i am unable|i['’]?m unable|as an ai)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Attributes:
        choice: Position of the chosen option; None for a caption and where nothing counts.
        text: The answer, without white space around it.
        why: Why it does not count; None if it does.
    """

    choice: int | None
    text: str
    why: Why | None


def read_letter(answer: Answer, options: Sequence[str]) -> Reading:
    """Read a choice among lettered options.

    Taken are, in this order: the last "Answer: B"; a letter with a bracket, full stop or colon at the beginning
    ("B) sari"); a letter and nothing else; and an option itself, word for word. "A sari" chooses nothing: its A is an
    article, and so is that of "Answer: A sari".

    Args:
        answer: The answer.
        options: The options, in the order of their letters.
    """
    text = answer.text.strip()
    said = _SAID.findall(text)
    found = said[-1] if said else None
    for form in (_FIRST.match(text), _ALONE.fullmatch(text)):
        found = found or (form[1] if form else None)
    if found is not None and found.upper() in LETTERS[: len(options)]:
        return Reading(LETTERS.index(found.upper()), text, None)
    whole = [_bare(option) for option in options]
    if _bare(text) in whole:
        return Reading(whole.index(_bare(text)), text, None)
    return _nothing(answer)


def read_yes_no(answer: Answer, options: Sequence[str]) -> Reading:
    """Read yes or no: the first word, or the one after "Answer:".

    Args:
        answer: The answer.
        options: ``yes`` and ``no``, in any order.
    """
    found = _YES_NO.match(answer.text)
    return Reading(options.index(found[1].lower()), answer.text.strip(), None) if found else _nothing(answer)


def read_caption(answer: Answer, options: Sequence[str]) -> Reading:  # noqa: ARG001 - the same for all kinds
    """Read a caption: any text that does not decline."""
    text = " ".join(answer.text.split())
    declined = answer.finish == "refused" or _DECLINED.match(text)
    return _nothing(answer) if declined or not text else Reading(None, text, None)


READERS = {"choice": read_letter, "yes_no": read_yes_no, "caption": read_caption}
"""Kind of question -> how its answers are read."""


def _bare(text: str) -> str:
    return text.strip().rstrip(".").casefold()


def _nothing(answer: Answer) -> Reading:
    text = answer.text.strip()
    if answer.finish == "refused" or _DECLINED.match(text):
        return Reading(None, text, "refused")
    return Reading(None, text, "cut_off" if answer.finish == "length" else "unparsable")
