"""CLCA's filter of dialogues (arXiv 2504.02953): a judge's label drops a dialogue only if the judge is very confident.

The judge calls the quality of a dialogue and its alignment with the cultures good or bad, then criticises both labels
in a third, and says of each how confident it is. As in the released filter, a dialogue is dropped if the third label
or that of quality is bad and very confident; alignment alone drops nothing. A label that cannot be read drops nothing
and is counted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from cultureclip.captions.claims.claim import Reason
from cultureclip.captions.claims.prompts import ALIGNMENT, META, QUALITY, Judge
from cultureclip.models.chat.request import Structured

_LABEL_TOKENS = 32
_VERY = 1


class DialogueLabel(Structured):
    """A judge's label.

    Attributes:
        label: What the dialogue is.
        confidence: 1: very confident; 2: confident; 3: not sure.
    """

    label: Literal["good", "bad"]
    confidence: Literal[1, 2, 3]


Labels = dict[str, DialogueLabel | None]
"""Name of a question -> its label; None where it could not be read."""


def label_dialogues(dialogues: Sequence[Mapping[str, str]], judge: Judge) -> list[Labels]:
    """Ask for the three labels of each dialogue.

    Args:
        dialogues: Fields of each: ``dialogue``, ``name``, ``culture``, ``other_name``, ``other_culture``.
        judge: Who is asked.
    """
    first = {name: _ask(name, dialogues, judge) for name in (QUALITY, ALIGNMENT)}
    told = [
        {**one, **{name: _word(labels[place]) for name, labels in first.items()}} for place, one in enumerate(dialogues)
    ]
    meta = _ask(META, told, judge)
    return [{name: labels[place] for name, labels in (*first.items(), (META, meta))} for place in range(len(dialogues))]


def reason_to_drop(labels: Labels) -> Reason | None:
    """Return why a dialogue is dropped; None if it is not."""
    if _surely_bad(labels[META]):
        return Reason.DIALOGUE_META
    return Reason.DIALOGUE_QUALITY if _surely_bad(labels[QUALITY]) else None


def as_checks(labels: Labels) -> dict[str, Any]:
    """Return the labels for a JSON column: ``{"quality": ["bad", 1], ...}``."""
    return {name: None if one is None else [one.label, one.confidence] for name, one in labels.items()}


def _ask(name: str, fields: Sequence[Mapping[str, str]], judge: Judge) -> list[DialogueLabel | None]:
    outcomes = judge.ask(name, fields, _LABEL_TOKENS, DialogueLabel)
    return [one.value if isinstance(one.value, DialogueLabel) else None for one in outcomes]


def _word(label: DialogueLabel | None) -> str:
    return "unknown" if label is None else label.label


def _surely_bad(label: DialogueLabel | None) -> bool:
    return label is not None and label.label == "bad" and label.confidence == _VERY
