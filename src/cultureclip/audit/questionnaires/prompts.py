"""The prompt file of an audit: any number of wordings of a survey question, and one question for each other task."""

from collections.abc import Mapping
from typing import Any

from cultureclip.errors import ConfigurationError
from cultureclip.prompts import Prompt, read_prompt

SURVEY = "survey_"
"""Beginning of the names of the wordings."""
AWARE_SPEAKER, UNAWARE_SPEAKER = "speaker_aware", "speaker_unaware"
"""Sentences that say whose answers are wanted; they stand for ``{speaker}`` in a wording."""
MATCH, OPEN, UNITS, SUPPORTED, CRITIQUE = "match", "open", "units", "supported", "critique"

_SURVEY_FIELDS = frozenset({"speaker", "question", "options", "count"})
_FIELDS: Mapping[str, frozenset[str]] = {
    AWARE_SPEAKER: frozenset({"persona", "country"}),
    UNAWARE_SPEAKER: frozenset(),
    MATCH: frozenset({"thing", "a", "b"}),
    OPEN: frozenset({"question", "group"}),
    UNITS: frozenset({"question", "answer"}),
    SUPPORTED: frozenset({"unit", "facts"}),
    CRITIQUE: frozenset({"question", "answer", "unsupported", "missing", "language"}),
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    SURVEY: ("speaker", "question", "options"),
    AWARE_SPEAKER: ("country",),
    MATCH: ("thing", "a", "b"),
    OPEN: ("question",),
    UNITS: ("answer",),
    SUPPORTED: ("unit", "facts"),
    CRITIQUE: ("answer", "language"),
}


def read_audit_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/teacher_audit.yml``.

    Raises:
        ConfigurationError: if it is not such a prompt, has no wording of a survey question, or a template leaves out a
            field without which its answers would mean nothing.
    """
    found = content.get("templates") if isinstance(content, Mapping) else None
    wordings = [name for name in found or () if str(name).startswith(SURVEY)] if isinstance(found, Mapping) else []
    prompt = read_prompt(content, "teacher_audit", dict(_FIELDS) | dict.fromkeys(wordings, _SURVEY_FIELDS))
    if not wordings:
        cause = "it has no wording of a survey question"
        raise ConfigurationError("prompt teacher_audit", cause, f"Name at least one template {SURVEY}<name>")
    for name, text in prompt.templates.items():
        for field in _NEEDED.get(SURVEY if name.startswith(SURVEY) else name, ()):
            if f"{{{field}}}" not in text:
                item = f"prompt teacher_audit: templates.{name}"
                raise ConfigurationError(item, f"it does not show {{{field}}}", f"Write {{{field}}} into it")
    return prompt


def list_wordings(prompt: Prompt) -> list[str]:
    """Return the names of the wordings of a survey question, in the order of the file."""
    return [name for name in prompt.templates if name.startswith(SURVEY)]
