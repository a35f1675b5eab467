"""Questions with answers to choose from, asked of a CLIP: which sentence, question and answer in one, fits the picture?

Meta CLIP 2 asks CVQA in this way (Chuang et al., 2025, arXiv 2507.22062): the text is the question, a space and the
answer. Other answers to the same question are the only wrong ones, so what the question alone gives away counts too.
The control leaves the picture out: it takes the answer whose text is closest to the text of the question.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from cultureclip.benchmarks.asking.questions import NO_PICTURE
from cultureclip.benchmarks.protocols.benchmark import Declaration, Embeddings
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, answer_questions
from cultureclip.benchmarks.protocols.items import Prediction, Question, Unposed, item_key
from cultureclip.benchmarks.rows import Intake, Taken
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.text import RefusedError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LABELLED = re.compile(r"\(?([A-Z])[.):]\s+(.*)", re.DOTALL)


@dataclass(frozen=True)
class Choices:
    """A question's answers in the owner's order, with the letter that the owner gives each.

    Attributes:
        answers: The answers, without their letters.
        letters: The letters; by default A, B, C, ...
    """

    answers: tuple[str, ...]
    letters: tuple[str, ...]

    def place(self, right: object) -> int | None:
        """Find the right answer.

        Args:
            right: Its number from 0; or as a text the answer itself, its letter or its number, in this order.

        Returns:
            Its position, or None if it is none of them.
        """
        if isinstance(right, str):
            written = right.strip()
            if written in self.answers:
                return self.answers.index(written)
            if written.upper() in self.letters:
                return self.letters.index(written.upper())
            right = int(written) if written.isdecimal() else None
        if isinstance(right, bool) or not isinstance(right, int | float) or right not in range(len(self.answers)):
            return None
        return int(right)


def read_choices(row: Taken, column: str) -> Choices | None:
    """Read the answers of a row: a list, a JSON list or object as text, or one column per letter (``options.A``).

    A letter before each answer (``A. kimono``) is taken off, if all of them have one.

    Returns:
        The answers, or None if there are fewer than two, or one of them is not a text.
    """
    found = row.values.get(column)
    if isinstance(found, str):
        try:
            found = parse_json(found)
        except RefusedError:
            return None
    if found is None:
        found = {name.removeprefix(f"{column}."): row.values[name] for name in _parts(row, column)}
    keyed = found if isinstance(found, Mapping) else None
    listed = list(keyed.values()) if keyed is not None else found if isinstance(found, list) else []
    if len(listed) < 2 or not all(isinstance(answer, str) and answer.strip() for answer in listed):
        return None
    answers = tuple(answer.strip() for answer in listed)
    if keyed is not None:
        return Choices(answers, tuple(str(key).strip().upper() for key in keyed))
    labelled = [_LABELLED.fullmatch(answer) for answer in answers]
    if all(labelled):
        parts = [match.groups() for match in labelled if match]
        return Choices(tuple(text.strip() for _, text in parts), tuple(letter for letter, _ in parts))
    return Choices(answers, tuple(LETTERS[: len(answers)]))


def join(question: str, answer: str) -> str:
    """Return the sentence that a CLIP is shown for an answer."""
    return f"{question} {answer}"


def pose(
    metric: str,
    salt: str,
    question: str,
    choices: Choices | None,
    right: object,
    asked_of: Question,
    template: str | None = None,
) -> Question | str:
    """Build a question, or say why it cannot be asked.

    Args:
        metric: Metric that it counts for.
        salt: Part of the item's id.
        question: The owner's question.
        choices: The answers; None if they cannot be read.
        right: The right one, as :meth:`Choices.place` reads it.
        asked_of: A question with the picture, cluster, culture, category and concept.
        template: Text of an option, with ``{}`` for the answer; by default the question and the answer.
    """
    if not question:
        return "no question"
    if choices is None:
        return "its options are not two texts or more"
    place = choices.place(right)
    if place is None:
        return "its right answer is none of its options"
    if len(set(choices.answers)) < len(choices.answers):
        return "two options are the same"
    answers = (choices.answers[place], *(a for i, a in enumerate(choices.answers) if i != place))
    return replace(
        asked_of,
        item_id=item_key(metric, salt, asked_of.image, question, *choices.answers),
        options=tuple(template.format(answer) if template else join(question, answer) for answer in answers),
        asked=question,
        choices=answers,
    )


def about(
    image: str, *, cluster: str, culture: str = "", category: str = "", concept: str = "", part: str = "test"
) -> Question:
    """Return what questions about a picture share: everything but the question."""
    return Question(
        item_id="",
        image=image,
        options=(),
        cluster=cluster,
        part=part,
        culture=culture,
        category=category,
        concept=concept,
    )


@dataclass(frozen=True)
class MultipleChoiceBenchmark(ChoiceBenchmark):
    """Questions with answers, asked with the picture and without."""

    @property
    def texts(self) -> list[str]:
        """Every option; and the questions and answers by themselves, for the control."""
        alone = (text for question in self.questions for text in (question.asked, *question.choices))
        return list(dict.fromkeys((*super().texts, *alone)))

    @property
    def chances(self) -> dict[str, float]:
        """One over the number of options, averaged over a metric's questions."""
        return {name: chance for metric, chance in super().chances.items() for name, chance in _both(metric, chance)}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Answer every question with its picture, then without."""
        texts, rows = embeddings.texts, embeddings.text_rows
        alone = answer_questions([without_picture(question) for question in self.questions], texts, rows, texts, rows)
        return [*super().answer(embeddings), *(replace(prediction, image="") for prediction in alone)]


@dataclass
class Collected:
    """Questions of a benchmark as they are built, and what is left out."""

    left_out: list[Unposed]
    asked: dict[str, Question] = field(default_factory=dict)

    def take(self, place: str, question: Question | str) -> None:
        """Keep a question, or the reason why there is none; a question that was taken before is left out.

        Args:
            place: Place of the row, for the card.
            question: What :func:`pose` returned.
        """
        if isinstance(question, str):
            self.left_out.append(Unposed(place, question))
        elif question.item_id in self.asked:
            self.left_out.append(Unposed(place, "the same question was asked about before"))
        else:
            self.asked[question.item_id] = question

    def build(self, declaration: Declaration, intake: Intake) -> MultipleChoiceBenchmark:
        """Return the benchmark with the pictures that its questions show."""
        pictures = intake.pictures.only({question.image for question in self.asked.values()})
        questions = tuple(self.asked.values())
        return MultipleChoiceBenchmark(declaration, pictures, questions, unposed=tuple(self.left_out))


def without_picture(question: Question) -> Question:
    """Return the control of a question: its text stands in for the picture."""
    metric, _, item = question.item_id.partition(":")
    return replace(
        question, item_id=f"{metric}{NO_PICTURE}:{item}", image=question.asked, options=question.choices, names=()
    )


def _both(metric: str, chance: float) -> Sequence[tuple[str, float]]:
    return (metric, chance), (metric + NO_PICTURE, chance)


def _parts(row: Taken, column: str) -> list[str]:
    return sorted(name for name in row.values if name.startswith(f"{column}."))
