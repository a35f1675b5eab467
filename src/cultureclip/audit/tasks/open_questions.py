"""Open questions with known units: a loader of the columns of GlobalCultureQA."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cultureclip.audit.questionnaires.survey_file import read_columns, refuse
from cultureclip.prompts import plain
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.text import RefusedError

UNITS = "grounded_answer_knowledge_points"
_LONGEST = 2000


@dataclass(frozen=True)
class OpenQuestion:
    """A question whose answer is a text.

    Attributes:
        group: The cultural group that it is about.
        topic: Its topic.
        language: Language of the group, in which an answer is criticised; "English" where the file names none.
        question: The question.
        units: What is known: facts, each in a sentence; at least one.
    """

    group: str
    topic: str
    language: str
    question: str
    units: tuple[str, ...]


def read_open_questions(path: Path, first: int | None = None) -> list[OpenQuestion]:
    """Read open questions from a CSV with columns of GlobalCultureQA.

    Args:
        path: Columns ``cultural_group``, ``topic``, ``question`` and ``grounded_answer_knowledge_points``: JSON, a list
            of sentences or an object whose ``knowledge_points`` is one. ``grounded_answer``, JSON, may name the
            ``language``.
        first: Most questions; None: all.

    Raises:
        SourceDataError: if it is not such a file, or a row has no question or no units, or is there twice; the error
            names the lines.
    """
    cells = read_columns(path, ("cultural_group", "topic", "question", UNITS), ("grounded_answer",))
    problems: list[str] = []
    questions: dict[tuple[str, str], OpenQuestion] = {}
    for line, row in cells.iterrows():
        try:
            question = OpenQuestion(
                group=plain(row["cultural_group"]),
                topic=plain(row["topic"]),
                language=_read_language(row["grounded_answer"]),
                question=plain(row["question"])[:_LONGEST],
                units=_read_units(row[UNITS]),
            )
        except RefusedError as error:
            problems.append(f"line {line}: {error}")
            continue
        if not question.question:
            problems.append(f"line {line}: no question")
        elif questions.setdefault((question.group, question.question), question) is not question:
            problems.append(f"line {line}: this question about {question.group} again")
    refuse(path, problems, "Correct these rows: docs/teacher-audit.md")
    return list(questions.values())[:first]


def _read_units(cell: str) -> tuple[str, ...]:
    found: Any = parse_json(cell)
    points = found.get("knowledge_points") if isinstance(found, dict) else found
    if not isinstance(points, list) or not all(isinstance(point, str) for point in points):
        raise RefusedError(f"{UNITS} is not a list of sentences")
    units = tuple(dict.fromkeys(plain(point) for point in points if plain(point)))
    if not units:
        raise RefusedError(f"{UNITS} has no sentence")
    return units


def _read_language(cell: str) -> str:
    """Return the language that a grounded answer names; "English" where it names none or is a plain text."""
    try:
        found = parse_json(cell)
    except RefusedError:
        return "English"
    named = found.get("language") if isinstance(found, dict) else None
    if isinstance(named, list):
        named = next((one for one in named if isinstance(one, str)), None)
    return plain(named) if isinstance(named, str) and plain(named) else "English"
