"""The question that asks a language model for one caption, and the strict reading of its answer."""

import re

from cultureclip.captions.facts import ConceptFacts, plain
from cultureclip.errors import UnparsableAnswerError
from cultureclip.ids import digest

SHOWN_FEATURES = 2
"""Features named in one question: a small model drops what does not fit into 14 words."""

FIELD_LIMIT = 300
"""Most characters of a name, context or feature that enter a question: no cell can fill the model's window."""

SYSTEM = "You describe pictures. Answer with one short caption that names the thing, its culture and how it looks."
QUESTION = "About: {context}\nName: {name}\nCulture: {culture}\nLooks: {features}"
SHORT_QUESTION = "Name: {name}\nCulture: {culture}\nLooks: {features}"
"""Without context and with one feature: a small model that has failed at the full question answers this better."""

EXAMPLES = (
    (
        {
            "context": "The balalaika is a plucked instrument of Russian folk music, played alone and in orchestras.",
            "name": "balalaika",
            "culture": "Russia",
            "features": "triangular wooden body, three strings",
        },
        "A balalaika from Russia with a triangular wooden body and three strings.",
    ),
    (
        {
            "context": "Bavaria, a state in the south of Germany, flies the lozenges of the old Wittelsbach family.",
            "name": "flag of Bavaria",
            "culture": "Germany",
            "features": "white and blue lozenges, slanted pattern",
        },
        "The flag of Bavaria in Germany with white and blue lozenges.",
    ),
    (
        {
            "context": "A tagine is a slow stew of Morocco, named after the earthen pot that it is cooked in.",
            "name": "tagine",
            "culture": "Morocco",
            "features": "cone-shaped clay lid, steaming stew",
        },
        "A tagine from Morocco with a cone-shaped clay lid.",
    ),
)
"""Worked examples; their concepts are not in the atlas, so no answer can be copied from them."""

PROMPT_ID = digest("caption prompt", SYSTEM, QUESTION, SHORT_QUESTION, EXAMPLES, SHOWN_FEATURES, FIELD_LIMIT)
_ANSWER = re.compile(r"Caption: *(?P<text>\S.*)")


def caption_messages(concept: ConceptFacts, candidate: int, full_tries: int) -> list[dict[str, str]]:
    """The chat that asks for a concept's caption.

    Features and cultures are rotated by the candidate's number: each try is another view of the same facts.

    Args:
        concept: The concept.
        candidate: Number of the try, from 0.
        full_tries: From this try on the question is the short one.
    """
    template, shown = (QUESTION, SHOWN_FEATURES) if candidate < full_tries else (SHORT_QUESTION, 1)
    features = [concept.features[(candidate + i) % len(concept.features)] for i in range(len(concept.features))]
    cultures = concept.cultures
    question = {
        "context": plain(concept.context)[:FIELD_LIMIT],
        "name": plain(concept.name)[:FIELD_LIMIT],
        "culture": cultures[candidate % len(cultures)],
        "features": ", ".join(plain(feature)[:FIELD_LIMIT] for feature in features[:shown]),
    }
    turns = [{"role": "system", "content": SYSTEM}]
    for fields, caption in EXAMPLES:
        turns.append({"role": "user", "content": template.format(**fields)})
        turns.append({"role": "assistant", "content": f"Caption: {caption}"})
    return [*turns, {"role": "user", "content": template.format(**question)}]


def parse_caption(answer: str) -> str:
    """The caption of an answer of the form ``Caption: <one line>``.

    Raises:
        UnparsableAnswerError: the answer has another form.
    """
    match = _ANSWER.fullmatch(answer.strip())
    text = plain(match["text"]).strip(" \"'“”") if match else ""
    if not text:
        raise UnparsableAnswerError(
            repr(answer[:80]), "not of the form 'Caption: <text>'", "The question is asked again"
        )
    return text
