"""CUNIT's matching task (Li et al., 2024, arXiv 2408.05102) for the text tower: which concept is culturally closer?

Experts annotate concepts with boolean features: who uses it, on what occasion, what it stands for. Two concepts are as
close as the Jaccard similarity of their features. A question gives an anchor and two concepts of its category from
other cultures; the one that is closer to the anchor by features should also be closer by text embedding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import ClassVar

from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, answer_questions
from cultureclip.benchmarks.protocols.items import Prediction, Question, QuestionSet, Unposed, item_key, named_concept
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.rows import Intake
from cultureclip.errors import SourceDataError
from cultureclip.ids import seed_from_id
from cultureclip.reading.csv_table import read_csv_file

SALT = "cunit"
"""Part of every item's id; another salt would give the same items other ids."""
PER_ANCHOR = 5
"""Questions per anchor, as many as CUNIT has."""
_NAMED = ("concept", "culture", "category")
_BOOLEANS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}


@dataclass(frozen=True, kw_only=True)
class CunitConcept:
    """A concept, its culture, its category and the features that hold for it."""

    concept: str
    culture: str
    category: str
    features: frozenset[str]


def read_annotations(path: Path) -> dict[int, CunitConcept]:
    """Read a user's annotations: a CSV with the columns concept, culture, category, and one column per feature.

    A feature's cell is 1, true or yes if it holds; 0, false, no or empty if it does not.

    Returns:
        Line of the file -> its annotation.

    Raises:
        SourceDataError: if the file is not a CSV, a column is missing, or cells are not boolean; the error lists them.
    """
    table = read_csv_file(path)
    missing = [column for column in _NAMED if column not in table]
    features = [column for column in table.columns if column not in _NAMED]
    if missing or not features:
        cause = f"no column {', '.join(missing)}" if missing else "no column of a feature"
        raise SourceDataError(path, cause, "Give the columns concept, culture, category, and one per feature")
    cells = table[features].apply(lambda column: column.str.strip().str.lower())
    bad = [
        f"line {table.index[row]}, {column}: {table[column].iloc[row]!r}"
        for column in features
        for row in (~cells[column].isin(list(_BOOLEANS))).to_numpy().nonzero()[0]
    ]
    if bad:
        raise SourceDataError(path, f"{len(bad)} cells are not boolean: " + "; ".join(bad[:5]), "Write 1 or 0")
    holds = cells.apply(lambda column: column.map(_BOOLEANS)).to_numpy(bool)
    names = [table[column].str.strip().tolist() for column in _NAMED]
    return {
        line: CunitConcept(
            concept=concept,
            culture=culture,
            category=category,
            features=frozenset(f for f, held in zip(features, row, strict=True) if held),
        )
        for line, concept, culture, category, row in zip(table.index, *names, holds, strict=True)
    }


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets of features; 0 if both are empty."""
    return len(a & b) / len(a | b) if a | b else 0.0


def ask_cunit(concepts: Sequence[CunitConcept], per_anchor: int = PER_ANCHOR) -> QuestionSet:
    """Make up to five questions per anchor; every concept is an anchor.

    Candidates are concepts of the anchor's category and of other cultures. They are sorted, shuffled by a generator
    that the anchor seeds, and taken in pairs. A pair that is equally close to the anchor has no right answer: it is
    left out, and the next pair is taken.
    """
    questions: list[Question] = []
    unposed: list[Unposed] = []
    usable: dict[str, CunitConcept] = {}
    for concept in concepts:
        if reason := _reason(concept, repeated=concept.concept in usable):
            unposed.append(Unposed(concept.concept or f"a {concept.category}", reason))
        else:
            usable[concept.concept] = concept
    annotated = sorted(usable.values(), key=lambda c: c.concept)
    for anchor in annotated:
        asked, left_out = _ask(anchor, annotated, per_anchor)
        questions += asked
        unposed += left_out
    return QuestionSet(tuple(questions), tuple(unposed))


@dataclass(frozen=True)
class CunitBenchmark(ChoiceBenchmark):
    """Questions whose ``image`` is a text, the anchor. There are no pictures."""

    task: ClassVar[str] = "text_selection"

    @property
    def texts(self) -> list[str]:
        """Every anchor and option, once."""
        return list(dict.fromkeys(text for q in self.questions for text in (q.image, *q.options)))

    @property
    def concepts(self) -> set[str]:
        """Names of anchors and options."""
        return {named_concept(text) for text in self.texts}

    def chat_questions(self) -> Iterator[ChatQuestion]:
        """Yield nothing: CUNIT's questions to chat models give features that the annotations here lack."""
        yield from ()

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return the cosine of the anchor's text with each option; a tie shares the credit."""
        rows, texts = embeddings.text_rows, embeddings.texts
        return [replace(answer, image="") for answer in answer_questions(self.questions, texts, rows, texts, rows)]


def _reason(concept: CunitConcept, *, repeated: bool) -> str:
    """Say why a concept cannot be asked about; empty if it can."""
    if not concept.concept:
        return "a concept has no name"
    if not concept.features:
        return "no feature is annotated"
    return "its name was annotated before" if repeated else ""


def _ask(
    anchor: CunitConcept, concepts: Sequence[CunitConcept], per_anchor: int
) -> tuple[list[Question], list[Unposed]]:
    others = [c for c in concepts if c.category == anchor.category and c.culture != anchor.culture]
    if len(others) < 2:
        return [], [Unposed(anchor.concept, "fewer than two concepts of its category and other cultures")]
    Random(seed_from_id(item_key("triplets", SALT, anchor.concept))).shuffle(others)
    questions: list[Question] = []
    ties = []
    for one, other in zip(others[::2], others[1::2], strict=False):
        close = [jaccard(anchor.features, c.features) for c in (one, other)]
        if close[0] == close[1]:
            ties.append(Unposed(f"{anchor.concept}: {one.concept} or {other.concept}", "both are equally close"))
            continue
        options = (one.concept, other.concept) if close[0] > close[1] else (other.concept, one.concept)
        item_id = item_key("accuracy", SALT, anchor.concept, *options)
        questions.append(
            Question(
                item_id=item_id,
                image=anchor.concept,
                options=options,
                cluster=anchor.concept,
                part="test",
                culture=anchor.culture,
                category=anchor.category,
            )
        )
        if len(questions) == per_anchor:
            break
    return questions, ties


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CUNIT, of texts alone. Column: ``annotated``."""
    annotated = {row.place: row.values.get("annotated") for row in intake.rows}
    bare = [Unposed(place, "no annotated") for place, found in annotated.items() if not isinstance(found, CunitConcept)]
    asked = ask_cunit([found for found in annotated.values() if isinstance(found, CunitConcept)])
    return CunitBenchmark(declaration, intake.pictures.only(set()), asked.questions, unposed=(*bare, *asked.unposed))


PROTOCOL = Protocol(
    question="Which of two concepts is culturally closer to a third?",
    benchmark=CunitBenchmark,
    build=build,
    columns=("annotated",),
    pictures=(),
    metrics=("accuracy",),
    exported={"accuracy": "acc"},
    names_concepts=True,
)
