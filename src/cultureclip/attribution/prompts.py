"""The questions that ask a model how strongly an entity belongs to a culture."""

from dataclasses import replace
from typing import Any

from pydantic import Field

from cultureclip.models.chat.request import Picture, Structured, Turn
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt

WRITTEN, DIGIT = "written", "digit"
"""Templates: a grade with its reason as JSON; and a digit alone, whose probabilities are read."""
DIGITS = ("1", "2", "3", "4", "5")

_FIELDS = frozenset({"entity", "text", "label"})


class WrittenGrade(Structured):
    """A grade as a model writes it.

    Attributes:
        score: 1 (does not belong to the culture) to 5 (is typical of it).
        reason: The model's words.
    """

    score: int = Field(ge=1, le=5)
    reason: str


def read_attribution_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/attribution.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "attribution", {WRITTEN: _FIELDS, DIGIT: _FIELDS})


def grade_turns(
    prompt: Prompt, template: str, name: str, text: str, label: str, max_text: int, picture: Picture | None = None
) -> tuple[Turn, ...]:
    """Give the chat that asks about one entity and one culture.

    Args:
        prompt: The prompt file.
        template: Name of the question.
        name: Of the entity.
        text: About the entity; control marks are removed, and it is cut.
        label: The culture, which enters the question as it is written.
        max_text: Most characters of the text.
        picture: The image, shown before the question.
    """
    fields = {"entity": plain(name)[:FIELD_LIMIT], "text": plain(text)[:max_text], "label": label}
    *before, last = prompt.ask(template, fields)
    return (*before, last if picture is None else replace(last, parts=(picture, *last.parts)))
