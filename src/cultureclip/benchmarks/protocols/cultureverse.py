"""CultureVerse's own questions (Liu et al., 2025, arXiv 2501.01282): what it is called, what it is, where it belongs.

A language model wrote multiple-choice questions about photographs of culture-bound things; for questions of the same
kinds from any table of concepts see :mod:`~cultureclip.benchmarks.protocols.culture_questions`.

    recognition    the name of the thing; a CLIP chooses among "This is <name>."
    knowledge      what is known of it, without its name; question and answer as one sentence
    scene          a situation that it belongs to, likewise
    ..., no picture    the answer whose text is closest to that of the question

Compare a kind with its control: a question that is answered without the picture measures the question.
The owners' file was not verified: ``columns`` of the catalog entry names its columns.
"""

from cultureclip.benchmarks.asking.questions import NO_PICTURE
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.items import named_concept
from cultureclip.benchmarks.protocols.multiple_choice import (
    Collected,
    MultipleChoiceBenchmark,
    about,
    pose,
    read_choices,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of

SALT = "cultureverse"
"""Part of every item's id; another salt would give the same items other ids."""
KINDS: dict[str, str | None] = {"recognition": "This is {}.", "knowledge": None, "scene": None}
"""Metric, which is a word of the owner's name of the kind -> text of an option."""


def kind_of(text: str) -> str | None:
    """Return the metric that a kind of question counts for: ``scene`` for "Scene understanding"; None if unknown."""
    return next((kind for kind in KINDS if kind in text.casefold()), None)


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CultureVerse. Columns: ``image``, ``question``, ``options``, ``answer``, ``type``, ``concept``.

    ``region`` and ``category`` may be missing.
    """
    complete, left_out = complete_rows(intake, "question", "type", "concept")
    collected = Collected(left_out)
    clusters = cluster_by_picture((image, named_concept(concept)) for _, image, (_, _, concept) in complete)
    for row, image, (question, written, concept) in complete:
        kind = kind_of(written)
        of = about(
            image,
            cluster=clusters[named_concept(concept)],
            culture=text_of(row, "region"),
            category=text_of(row, "category"),
            concept=named_concept(concept),
        )
        posed = (
            "its type is not one of recognition, knowledge, scene"
            if kind is None
            else pose(kind, SALT, question, read_choices(row, "options"), row.values.get("answer"), of, KINDS[kind])
        )
        collected.take(row.place, posed)
    return collected.build(declaration, intake)


PROTOCOL = Protocol(
    question="What is it called, what is it, and which scene does it belong to?",
    benchmark=MultipleChoiceBenchmark,
    build=build,
    columns=(IMAGE, "question", "options", "answer", "type", "concept", "region", "category"),
    lists=("options",),
    metrics=(*KINDS, *(f"{kind}{NO_PICTURE}" for kind in KINDS)),
    names_concepts=True,
)
