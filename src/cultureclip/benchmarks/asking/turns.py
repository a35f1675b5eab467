"""How questions are worded for chat models: the prompt file, the order of options, and the pictures' places."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from cultureclip.benchmarks.asking.answers import LETTERS
from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.ids import seed_from_id
from cultureclip.models.chat.request import Picture, Turn
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt

EDGE = 1024
"""Longest side of a picture that is shown, in pixels: models do not use more, and servers are sent less."""
MOST_CONTEXT = 4000
"""Most characters of a definition or document."""
_FIELDS: Mapping[str, frozenset[str]] = {
    "choice": frozenset({"question", "options"}),
    "statement": frozenset({"options"}),
    "yes_no": frozenset({"name"}),
    "caption": frozenset(),
    "definition": frozenset({"name", "text"}),
    "document": frozenset({"text"}),
    "pictures": frozenset({"name"}),
    "unseen": frozenset(),
}


def read_asking_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/ask_benchmarks.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt.
    """
    return read_prompt(content, "ask_benchmarks", _FIELDS)


def shown_order(question: ChatQuestion) -> tuple[str, ...]:
    """Return the options as they are shown: of a choice in an order that the item draws, so that no letter is favoured.

    The draw is of sorted options: it does not depend on which of them is right.
    """
    options = sorted(question.options)
    if question.kind == "choice":
        random.Random(seed_from_id(question.item_id)).shuffle(options)
    return tuple(options)


def ask_turns(prompt: Prompt, question: ChatQuestion, images: Mapping[str, np.ndarray]) -> tuple[Turn, ...]:
    """Return the chat that asks a question: what is known, the pictures, and the question itself.

    Args:
        prompt: From :func:`read_asking_prompt`.
        question: The question.
        images: The benchmark's pictures.
    """
    name = plain(question.asked)[:FIELD_LIMIT]
    before: list[str | Picture] = []
    if question.context_images:
        before.append(_fill(prompt, "pictures", name=name))
        before += [_encode(images[key]) for key in question.context_images]
    if question.context:
        template = "definition" if question.kind == "yes_no" else "document"
        before.append(_fill(prompt, template, name=name, text=plain(question.context)[:MOST_CONTEXT]))
    before.append(_encode(images[question.image]) if question.image else _fill(prompt, "unseen"))
    template, fields = _wording(question)
    *turns, last = prompt.ask(template, fields)
    return (*turns, Turn(last.role, (*before, *last.parts)))


def _wording(question: ChatQuestion) -> tuple[str, dict[str, str]]:
    """Return the template of a question and its fields."""
    if question.kind == "yes_no":
        return "yes_no", {"name": plain(question.asked)[:FIELD_LIMIT]}
    if question.kind == "caption":
        return "caption", {}
    options = _list_options(shown_order(question))
    if not question.asked:
        return "statement", {"options": options}
    return "choice", {"question": plain(question.asked), "options": options}


def _list_options(options: Sequence[str]) -> str:
    return "\n".join(f"{letter}. {plain(option)}" for letter, option in zip(LETTERS, options, strict=False))


def _fill(prompt: Prompt, template: str, **fields: str) -> str:
    return prompt.templates[template].format_map(fields)


def _encode(pixels: np.ndarray) -> Picture:
    picture = Image.fromarray(pixels)
    picture.thumbnail((EDGE, EDGE))
    return Picture.of(picture)
