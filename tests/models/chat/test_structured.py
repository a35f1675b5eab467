import json
import random

import pytest
from pydantic import Field

from cultureclip.errors import UnparsableAnswerError
from cultureclip.models.chat.request import Structured
from cultureclip.models.chat.structured import MAX_ANSWER, parse_answer


class Rating(Structured):
    grade: int = Field(ge=1, le=5)
    reason: str = Field(max_length=200)


GOOD = '{"grade": 4, "reason": "red sash"}'


@pytest.mark.parametrize("text", [GOOD, f"\n {GOOD}\n", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```"])
def test_one_object_of_the_schema_is_read(text):
    assert parse_answer(text, Rating) == Rating(grade=4, reason="red sash")


REFUSED = {
    "prose": "I would give it a four.",
    "prose before": f"Sure! {GOOD}",
    "prose after": f"{GOOD} I hope this helps.",
    "two objects": f"{GOOD}\n{GOOD}",
    "two fences": f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```",
    "a list": f"[{GOOD}]",
    "cut off": GOOD[:-4],
    "nothing": "",
    "null": "null",
    "another key": '{"grade": 4, "reason": "red", "mood": "good"}',
    "a key missing": '{"grade": 4}',
    "a key twice": '{"grade": 1, "grade": 4, "reason": "red"}',
    "other keys": '{"Bewertung": 4, "Grund": "rot"}',
    "a number as text": '{"grade": "4", "reason": "red"}',
    "a fraction": '{"grade": 3.5, "reason": "red"}',
    "a whole float": '{"grade": 4.0, "reason": "red"}',
    "NaN": '{"grade": NaN, "reason": "red"}',
    "infinity": '{"grade": Infinity, "reason": "red"}',
    "true for one": '{"grade": true, "reason": "red"}',
    "null inside": '{"grade": null, "reason": "red"}',
    "zero": '{"grade": 0, "reason": "red"}',
    "six": '{"grade": 6, "reason": "red"}',
    "4/5": '{"grade": 4/5, "reason": "red"}',
    "Score: 4": "Score: 4",
    "the prompt's echo": '{"grade": <1 to 5>, "reason": "<why>"}',
    "a refusal": "I'm sorry, but I can't rate this picture.",
    "damaged": '{"grade": 4, "reason": "caf\ufffd"}',
    "half a surrogate": '{"grade": 4, "reason": "\\ud83d"}',
    "a megabyte": '{"grade": 4, "reason": "' + "x" * 1_000_000 + '"}',
    "deep": "[" * (MAX_ANSWER - 1),
    "deep object": '{"a":' * 10_000,
    "single quotes": "{'grade': 4, 'reason': 'red'}",
    "a trailing comma": '{"grade": 4, "reason": "red",}',
    "a comment": '{"grade": 4, "reason": "red"} // good',
}


@pytest.mark.parametrize("kind", REFUSED)
def test_everything_else_is_refused(kind):
    with pytest.raises(UnparsableAnswerError):
        parse_answer(REFUSED[kind], Rating)


def _is_right(text: str) -> bool:
    """A second opinion, by other means: the text is one object with these two keys, once each, of these types."""
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        pairs = json.loads(body, object_pairs_hook=list)
    except (ValueError, RecursionError):
        return False
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs) or len(pairs) != 2:
        return False
    found = dict(pairs)
    grade, reason = found.get("grade"), found.get("reason")
    return type(grade) is int and 1 <= grade <= 5 and isinstance(reason, str) and len(reason) <= 200


def test_of_ten_thousand_damaged_answers_none_passes_wrongly():
    draw = random.Random(0)
    alphabet = [*'{}[]",:0123456789 \n\\tfn.-+eE`', "NaN", "null", "true", "é", "\u2028", "\ufffd", "grade", "reason"]
    passed = 0
    for _ in range(10_000):
        text = draw.choice([GOOD, *REFUSED.values()])[:400]
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(text) + 1)
            match draw.randrange(4):
                case 0:
                    text = text[:at] + draw.choice(alphabet) + text[at:]
                case 1:
                    text = text[:at] + text[at + draw.randint(1, 5) :]
                case 2:
                    text = text[:at]
                case 3:
                    text = text[:at] + text[draw.randrange(len(text) + 1) :]
        try:
            value = parse_answer(text, Rating)
        except UnparsableAnswerError:
            continue
        passed += 1
        assert _is_right(text), text
        assert 1 <= value.grade <= 5
    assert passed > 20, "the damage must leave some answers whole, or this test tests nothing"
