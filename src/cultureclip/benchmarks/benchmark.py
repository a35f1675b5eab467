"""A benchmark: pictures, what is asked about them, where they come from and what training must not contain."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from cultureclip.benchmarks.choice import answer_questions
from cultureclip.benchmarks.general_retrieval import Captioned, answer_general_retrieval, distinct_texts
from cultureclip.benchmarks.items import Prediction, Question, Unposed
from cultureclip.ids import digest


@dataclass(frozen=True)
class Declaration:
    """What a benchmark says about itself.

    Attributes:
        name: Its key in tables.
        title: Its name for readers.
        question: What is asked, in a sentence.
        source: Where the pictures come from.
        licence: Their licence.
        holds_out: Training must not contain these ``images``, or nothing of these ``concepts``.
        chance: Share of right answers by guessing; None where that is not one number.
    """

    name: str
    title: str
    question: str
    source: str
    licence: str
    holds_out: Literal["images", "concepts"]
    chance: float | None = None


@dataclass(frozen=True)
class Embeddings:
    """A model's L2-normalised vectors of pictures and texts, with the row of each."""

    images: np.ndarray
    texts: np.ndarray
    image_rows: Mapping[str, int]
    text_rows: Mapping[str, int]


@dataclass(frozen=True)
class Benchmark(ABC):
    """Pictures by key (uint8 [H, W, 3]) and a declaration; what is asked is up to the protocol."""

    declaration: Declaration
    images: Mapping[str, np.ndarray]

    @property
    def name(self) -> str:
        """Key in tables."""
        return self.declaration.name

    @property
    @abstractmethod
    def texts(self) -> list[str]:
        """Every distinct text that has to be embedded."""

    @property
    @abstractmethod
    def size(self) -> int:
        """How many items are asked."""

    @property
    @abstractmethod
    def concepts(self) -> set[str]:
        """Ids of what the questions are about."""

    @property
    @abstractmethod
    def data_hash(self) -> str:
        """Digest of everything asked: equal hashes make scores comparable."""

    @property
    def left_out(self) -> tuple[Unposed, ...]:
        """Items that the protocol could not ask about."""
        return ()

    @abstractmethod
    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """One prediction an item."""

    def card(self) -> dict[str, Any]:
        """Declaration, counts and hash, as JSON."""
        reasons: dict[str, int] = {}
        for item in self.left_out:
            reasons[item.reason] = reasons.get(item.reason, 0) + 1
        return {
            **asdict(self.declaration),
            "items": self.size,
            "images": len(self.images),
            "texts": len(self.texts),
            "concepts": len(self.concepts),
            "left_out": dict(sorted(reasons.items())),
            "data_hash": self.data_hash,
        }


@dataclass(frozen=True)
class ChoiceBenchmark(Benchmark):
    """Questions with options."""

    questions: Sequence[Question] = ()
    unposed: Sequence[Unposed] = field(default=())

    @property
    def texts(self) -> list[str]:
        """Every option, once."""
        return list(dict.fromkeys(option for question in self.questions for option in question.options))

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.questions)

    @property
    def concepts(self) -> set[str]:
        """Concepts shown."""
        return {question.cluster for question in self.questions}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, options and parts."""
        return digest(self.name, sorted((q.item_id, q.image, q.options, q.part) for q in self.questions))

    @property
    def left_out(self) -> tuple[Unposed, ...]:
        """Items without a question."""
        return tuple(self.unposed)

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Cosine and argmax over each question's options."""
        return answer_questions(
            self.questions, embeddings.images, embeddings.image_rows, embeddings.texts, embeddings.text_rows
        )


@dataclass(frozen=True)
class RetrievalBenchmark(Benchmark):
    """Captioned pictures, each to be found by its texts and the other way round."""

    items: Sequence[Captioned] = ()

    @property
    def texts(self) -> list[str]:
        """Every caption, once."""
        return distinct_texts(self.items)

    @property
    def size(self) -> int:
        """Pictures and texts: each is searched for."""
        return len(self.items) + len(self.texts)

    @property
    def concepts(self) -> set[str]:
        """Families of emoji."""
        return {item.family for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures and captions."""
        return digest(self.name, [(item.image, item.captions, item.family) for item in self.items])

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Recall at every cut-off, both ways."""
        images = embeddings.images[[embeddings.image_rows[item.image] for item in self.items]]
        texts = embeddings.texts[[embeddings.text_rows[text] for text in self.texts]]
        return answer_general_retrieval(self.items, images, texts)
