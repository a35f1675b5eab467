"""The questions that ask a language model for one caption, and the strict reading of its answer."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cultureclip.captions.facts import ConceptFacts, describe_facts
from cultureclip.captions.language import ENGLISH, language_name
from cultureclip.captions.settings import CaptionSettings
from cultureclip.errors import ConfigurationError, UnparsableAnswerError
from cultureclip.models.chat.request import Turn
from cultureclip.prompts import FIELD_LIMIT, Prompt, plain, read_prompt

SHOWN_FEATURES = 2
FEWER_FEATURES = {"short": 1}
"""Features named in a question, and templates that name fewer: a small model drops what does not fit into 14 words."""

REVISE = "revise"
"""Template that shows the model a caption and its unsupported units."""

TRANSLATE = "translate"
"""Template that asks for a caption in English."""

_FIELDS = frozenset({"context", "name", "culture", "features", "language", "said"})
SAID_LIMIT = 600
"""Most characters of what the voices said that enter a question."""
_REVISE_FIELDS = frozenset({"facts", "caption", "problems", "language"})
_TRANSLATE_FIELDS = frozenset({"caption", "language"})
_ANSWER = re.compile(r"Caption: *(?P<text>\S.*)")
_MARKUP = re.compile(r"[<>*`{}\[\]|\\^~#]|&#?\w+;|\w+://|(?<!\w)_|_(?!\w)")
_JOINERS = "\u200c\u200d"


def read_caption_prompt(content: Any, settings: CaptionSettings) -> Prompt:
    """Check the content of ``prompts/captions.yml``: it must have every template that the settings name.

    Raises:
        ConfigurationError: if it is not such a prompt, asks for a language without naming it, or asks with what voices
            said where none speak.
    """
    named = {template for kind in settings.kinds.values() for template in kind.templates}
    templates = content.get("templates") if isinstance(content, Mapping) else None
    written = set(templates) if isinstance(templates, Mapping) else set()
    fields = dict.fromkeys(sorted(map(str, named | written)), _FIELDS)
    if settings.revise or REVISE in written:
        fields[REVISE] = _REVISE_FIELDS
    foreign = {name: kind for name, kind in settings.kinds.items() if kind.language != ENGLISH}
    if foreign or TRANSLATE in written:
        fields[TRANSLATE] = _TRANSLATE_FIELDS
    prompt = read_prompt(content, "captions", fields)
    for name, kind in foreign.items():
        for template in (*kind.templates, *([REVISE] if settings.revise else [])):
            if "{language}" not in prompt.templates[template]:
                cause = (
                    f"captions of the kind {name!r} are to be in {language_name(kind.language)}, which it does not say"
                )
                raise ConfigurationError(
                    f"prompt captions: templates.{template}", cause, "Give it the field {language}"
                )
    for template in sorted(named):
        if settings.voices is None and "{said}" in prompt.templates[template]:
            item, cause = f"prompt captions: templates.{template}", "it has {said}, and no voices speak"
            raise ConfigurationError(item, cause, "Set captioning.voices, or use another template")
    return prompt


def caption_turns(
    prompt: Prompt, template: str, concept: ConceptFacts, candidate: int, language: str
) -> tuple[Turn, ...]:
    """Give the chat that asks for a concept's caption.

    Features and cultures are rotated by the candidate's number: each try is another view of the same facts.

    Args:
        prompt: The prompt file.
        template: Name of the question.
        concept: The concept.
        candidate: Number of the try, from 0.
        language: Code of the language to write in.
    """
    features = [concept.features[(candidate + i) % len(concept.features)] for i in range(len(concept.features))]
    shown = features[: FEWER_FEATURES.get(template, SHOWN_FEATURES)]
    fields = {
        "context": plain(concept.context)[:FIELD_LIMIT],
        "name": plain(concept.name)[:FIELD_LIMIT],
        "culture": concept.cultures[candidate % len(concept.cultures)],
        "features": ", ".join(plain(feature)[:FIELD_LIMIT] for feature in shown),
        "language": language_name(language),
        "said": plain(" ".join(concept.said))[:SAID_LIMIT],
    }
    return prompt.ask(template, fields)


def revision_turns(
    prompt: Prompt, concept: ConceptFacts, caption: str, problems: tuple[str, ...], language: str
) -> tuple[Turn, ...]:
    """Give the chat that asks for a caption without what the facts do not support."""
    facts, wrong = describe_facts(concept, FIELD_LIMIT), "; ".join(problems)
    told = {"facts": facts, "caption": caption, "problems": wrong, "language": language_name(language)}
    return prompt.ask(REVISE, told)


def translation_turns(prompt: Prompt, caption: str, language: str) -> tuple[Turn, ...]:
    """Give the chat that asks for a caption in English."""
    return prompt.ask(TRANSLATE, {"caption": caption, "language": language_name(language)})


def parse_caption(answer: str) -> str:
    """Read the caption of an answer of the form ``Caption: <one line>``.

    Raises:
        UnparsableAnswerError: if the answer has another form, or its caption has markup or control characters.
    """
    match = _ANSWER.fullmatch(answer.strip())
    text = re.sub(" +", " ", match["text"].strip(" \"'“”")) if match else ""
    cause = "" if text else "not of the form 'Caption: <text>'"
    if mark := _MARKUP.search(text):
        cause = f"it has markup or a link: {mark[0]!r}"
    if strange := [char for char in text if not _is_of_a_line(char)]:
        cause = f"it has the control character {strange[0]!r}"
    if cause:
        raise UnparsableAnswerError(repr(answer[:80]), cause, "The question is asked again")
    return text


def _is_of_a_line(char: str) -> bool:
    """Tell whether a character may stand in a line of text; the joiners are needed to write Persian and Hindi."""
    return char in _JOINERS or (unicodedata.category(char)[0] != "C" and unicodedata.category(char) not in ("Zl", "Zp"))
