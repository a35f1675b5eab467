"""Prompts as files: templates with named fields, and the hash that every row made with them holds."""

import re
import unicodedata
from collections.abc import Mapping
from string import Formatter
from typing import Any

from pydantic import Field, ValidationError

from cultureclip.errors import ConfigurationError
from cultureclip.ids import digest
from cultureclip.models.chat.request import Turn
from cultureclip.settings_base import Settings

FIELD_LIMIT = 300
"""Most characters of a name, context or feature that enter a question: no cell can fill the model's window."""
_CHAT_MARK = re.compile(r"<\|[^|<>]*\|>")


class Example(Settings):
    """A worked example: a question and the answer that is wanted.

    Attributes:
        templates: Names of the templates that it is an example of; it is worded by the one that asks.
        fields: Values of its fields.
        answer: The answer, word for word.
    """

    templates: tuple[str, ...] = Field(min_length=1)
    fields: dict[str, str]
    answer: str = Field(min_length=1)


class Prompt(Settings):
    """A prompt file.

    Attributes:
        system: The first turn: the model's role and task.
        templates: Questions by name, with fields in braces.
        examples: Turns between the system's and the question.
    """

    system: str = Field(min_length=1)
    templates: dict[str, str] = Field(min_length=1)
    examples: tuple[Example, ...] = ()

    @property
    def id(self) -> str:
        """Hash of the file's contents without comments."""
        return digest("prompt", self.model_dump(mode="json"))

    def ask(self, template: str, fields: Mapping[str, str]) -> tuple[Turn, ...]:
        """Give the chat that asks a question; all turns but the last are the same for every question of a template."""
        turns = [Turn("system", (self.system,))]
        for example in self.examples:
            if template in example.templates:
                turns.append(Turn("user", (self.templates[template].format_map(example.fields),)))
                turns.append(Turn("assistant", (example.answer,)))
        return (*turns, Turn("user", (self.templates[template].format_map(fields),)))


def read_prompt(content: Any, name: str, fields: Mapping[str, frozenset[str]]) -> Prompt:
    """Check a prompt file's content.

    Args:
        content: The file's YAML.
        name: The prompt's name, for messages.
        fields: Names of the templates that a stage asks with -> fields that it fills.

    Raises:
        ConfigurationError: if a template is missing or not known, a field is not one that the stage fills, or an
            example does not fit its template.
    """
    try:
        prompt = Prompt.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"prompt {name}: {place}", first["msg"], "Correct the prompt file") from error
    if set(prompt.templates) != set(fields):
        cause = f"its templates are {', '.join(prompt.templates)}; the stage asks with {', '.join(fields)}"
        raise ConfigurationError(f"prompt {name}", cause, "Write one template for each of these names")
    for template, text in prompt.templates.items():
        _check_fields(f"prompt {name}: templates.{template}", text, fields[template])
    for number, example in enumerate(prompt.examples):
        item = f"prompt {name}: examples.{number}"
        for template in example.templates:
            if template not in prompt.templates:
                raise ConfigurationError(item, f"there is no template {template!r}", "Name some of the templates")
            if missing := sorted(_fields(item, prompt.templates[template]) - set(example.fields)):
                raise ConfigurationError(item, f"it has no {', '.join(missing)}", "Give every field of its templates")
    return prompt


def plain(text: str) -> str:
    """Return one line of printable text without a chat model's control marks: no field can open a turn of its own."""
    while _CHAT_MARK.search(text):  # removing one mark can close up another
        text = _CHAT_MARK.sub(" ", text)
    return " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())


def _check_fields(item: str, text: str, known: frozenset[str]) -> None:
    if unknown := sorted(_fields(item, text) - known):
        hint = f"Use {', '.join(sorted(known))}; write {{{{ and }}}} for braces"
        raise ConfigurationError(item, f"there is no field {unknown[0]!r}", hint)


def _fields(item: str, text: str) -> set[str]:
    try:
        return {field for _, field, _, _ in Formatter().parse(text) if field is not None}
    except ValueError as error:
        raise ConfigurationError(item, f"its braces do not match ({error})", "Write {{ and }} for braces") from error
