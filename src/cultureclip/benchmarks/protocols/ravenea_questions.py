"""RAVENEA's questions about pictures (Li et al., 2025, arXiv 2505.14462), without and with a document.

A chat model chooses among four answers; with ``, document`` it is also shown the document of highest grade, which is
the best that a retriever could have found. A CLIP is asked as :mod:`~.multiple_choice` asks: without documents.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cultureclip.benchmarks.asking.questions import NO_PICTURE, ChatQuestion
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.multiple_choice import (
    Collected,
    MultipleChoiceBenchmark,
    about,
    pose,
    read_choices,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of, without_image

SALT = "ravenea-questions"
"""Part of every item's id; another salt would give the same items other ids."""
DOCUMENT = ", document"
"""End of the name of a metric whose items are asked with a document."""


@dataclass(frozen=True)
class RaveneaQuestionsBenchmark(MultipleChoiceBenchmark):
    """Questions about pictures, some with a document.

    Attributes:
        documents: Item id -> document; only items that have one.
    """

    documents: Mapping[str, str] = field(default_factory=dict)

    def chat_questions(self) -> Iterator[ChatQuestion]:
        """Yield the questions with and without their pictures, and with their documents."""
        for asked in super().chat_questions():
            yield asked
            document = self.documents.get(asked.item_id)
            if document:
                metric, _, item = asked.item_id.partition(":")
                yield replace(asked, item_id=f"{metric}{DOCUMENT}:{item}", context=document)


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask RAVENEA's questions. Columns: ``image``, ``question``, ``options``, ``answer``.

    ``region``, ``category`` and ``document`` may be missing.
    """
    collected, documents = Collected(list(intake.left_out)), {}
    for row in intake.rows:
        image = row.image(IMAGE)
        if image is None:
            collected.left_out += without_image(row)
            continue
        of = about(image, cluster=image, culture=text_of(row, "region"), category=text_of(row, "category"))
        choices, right = read_choices(row, "options"), row.values.get("answer")
        question = pose("accuracy", SALT, text_of(row, "question"), choices, right, of)
        collected.take(row.place, question)
        if not isinstance(question, str) and text_of(row, "document"):
            documents[question.item_id] = text_of(row, "document")
    benchmark = collected.build(declaration, intake)
    return RaveneaQuestionsBenchmark(
        declaration, benchmark.images, benchmark.questions, documents, unposed=benchmark.unposed
    )


PROTOCOL = Protocol(
    question="Which answer to a question about the picture is right?",
    benchmark=RaveneaQuestionsBenchmark,
    build=build,
    columns=(IMAGE, "question", "options", "answer", "region", "category", "document"),
    lists=("options",),
    metrics=("accuracy", f"accuracy{DOCUMENT}", f"accuracy{NO_PICTURE}"),
    exported={"accuracy": "acc"},
)
