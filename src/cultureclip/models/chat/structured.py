"""The strict reading of structured answers."""

import json
import re
from typing import Any, TypeVar

from pydantic import ValidationError

from cultureclip.errors import UnparsableAnswerError
from cultureclip.models.chat.request import Structured

Value = TypeVar("Value", bound=Structured)

MAX_ANSWER = 100_000
"""Most characters of an answer that is read as JSON; a longer answer is refused."""
SHOWN = 80
"""Characters of an answer that an error shows."""
_REPLACEMENT = "\ufffd"
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(?P<body>.*?)\n?```", re.DOTALL)


def parse_answer(text: str, schema: type[Value]) -> Value:
    """Read an answer that is one JSON object of a schema and nothing else.

    White space around the object is allowed, and one Markdown fence, which chat models add unasked. Everything else is
    refused: prose before or after it, a second object, a key twice, NaN, a number as text, a key too many or missing.

    Args:
        text: The whole answer.
        schema: Schema of the answer.

    Raises:
        UnparsableAnswerError: if it is not that.
    """
    if len(text) > MAX_ANSWER:
        raise _refused(text, f"{len(text):,} characters long")
    if _REPLACEMENT in text:
        raise _refused(text, "damaged: it holds U+FFFD in place of characters that were lost")
    body = text.strip()
    if fenced := _FENCED.fullmatch(body):
        body = fenced["body"]
    try:
        json.loads(body, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _refused(text, f"not of the schema ({place + ': ' if place else ''}{first['msg']})") from error
    except (ValueError, RecursionError) as error:
        raise _refused(text, f"not one JSON object ({error})") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key: JSON allows it, parsers keep one value, and the intended one is unknown."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refused(text: str, cause: str) -> UnparsableAnswerError:
    return UnparsableAnswerError(repr(text[:SHOWN]), cause, "The question is asked again")
