"""The question that asks a language model for one caption, and the strict reading of its answer."""

import re
from typing import Any

from cultureclip.captions.facts import ConceptFacts, plain
from cultureclip.errors import UnparsableAnswerError
from cultureclip.models.chat.request import Turn
from cultureclip.prompts import Prompt, read_prompt

SHOWN_FEATURES = {"full": 2, "short": 1}
"""Features named in a question, by template: a small model drops what does not fit into 14 words."""

FIELD_LIMIT = 300
"""Most characters of a name, context or feature that enter a question: no cell can fill the model's window."""

_FIELDS = frozenset({"context", "name", "culture", "features"})
_ANSWER = re.compile(r"Caption: *(?P<text>\S.*)")


def read_caption_prompt(content: Any) -> Prompt:
    """Check the content of ``prompts/captions.yml``.

    Raises:
        ConfigurationError: if it is not a prompt with the templates ``full`` and ``short``.
    """
    return read_prompt(content, "captions", dict.fromkeys(SHOWN_FEATURES, _FIELDS))


def caption_turns(prompt: Prompt, concept: ConceptFacts, candidate: int, full_tries: int) -> tuple[Turn, ...]:
    """Give the chat that asks for a concept's caption.

    Features and cultures are rotated by the candidate's number: each try is another view of the same facts.

    Args:
        prompt: The prompt file.
        concept: The concept.
        candidate: Number of the try, from 0.
        full_tries: From this try on the question is the short one.
    """
    template = "full" if candidate < full_tries else "short"
    features = [concept.features[(candidate + i) % len(concept.features)] for i in range(len(concept.features))]
    fields = {
        "context": plain(concept.context)[:FIELD_LIMIT],
        "name": plain(concept.name)[:FIELD_LIMIT],
        "culture": concept.cultures[candidate % len(concept.cultures)],
        "features": ", ".join(plain(feature)[:FIELD_LIMIT] for feature in features[: SHOWN_FEATURES[template]]),
    }
    return prompt.ask(template, fields)


def parse_caption(answer: str) -> str:
    """Read the caption of an answer of the form ``Caption: <one line>``.

    Raises:
        UnparsableAnswerError: if the answer has another form.
    """
    match = _ANSWER.fullmatch(answer.strip())
    text = plain(match["text"]).strip(" \"'“”") if match else ""
    if not text:
        raise UnparsableAnswerError(
            repr(answer[:80]), "not of the form 'Caption: <text>'", "The question is asked again"
        )
    return text
