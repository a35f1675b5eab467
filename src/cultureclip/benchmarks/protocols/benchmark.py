"""A benchmark: its pictures, its questions, the source of the pictures and what training must not contain."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np

from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.protocols.items import Changed, Prediction, Unposed

UNREADABLE = "picture cannot be read"
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """A benchmark's description of itself.

    Attributes:
        name: Key in tables.
        title: Name for readers.
        question: The question, in a sentence.
        source: Source of the pictures.
        licence: Licence of the pictures.
        holds_out: Training must not contain these ``images``, or nothing of these ``concepts``.
        revision: Revision of the owner's data, if any.
        as_published: Whether ``accuracy`` offers the options of the owners' rule, even if right for the picture.
        as_released: Whether it draws them as the released code does, in an order that changes with the hash seed.
    """

    name: str
    title: str
    question: str
    source: str
    licence: str
    holds_out: Literal["images", "concepts"]
    revision: str | None = None
    as_published: bool = False
    as_released: bool = False


@dataclass(frozen=True)
class Embeddings:
    """A model's L2-normalised vectors of pictures and texts, with the row of each item.

    Attributes:
        images: float32 [images, D].
        texts: float32 [texts, D].
        image_rows: Key of a picture -> its row.
        text_rows: Text -> its row.
        failed: Key of an unreadable picture, which has no row -> reason.
    """

    images: np.ndarray
    texts: np.ndarray
    image_rows: Mapping[str, int]
    text_rows: Mapping[str, int]
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark(ABC):
    """Pictures by key (uint8 [H, W, 3]) and a declaration; the protocol makes the questions.

    Attributes:
        declaration: The benchmark's description of itself.
        images: The pictures.
        unposed: Items that the protocol could not ask about.
        changed: Items whose question differs from the owner's rule.
    """

    task: ClassVar[str] = "image_caption_selection"
    """Kind of task, by CLIP_benchmark's name if there is one."""

    declaration: Declaration
    images: Mapping[str, np.ndarray]
    unposed: Sequence[Unposed] = field(default=(), kw_only=True)
    changed: Sequence[Changed] = field(default=(), kw_only=True)

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
        """Number of items."""

    @property
    @abstractmethod
    def concepts(self) -> set[str]:
        """Ids of the concepts that the questions are about."""

    @property
    @abstractmethod
    def data_hash(self) -> str:
        """Digest of all questions: scores with equal hashes are comparable."""

    @property
    def chances(self) -> dict[str, float]:
        """Metric -> mean credit of random guessing, for metrics where guessing is defined."""
        return {}

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Item id -> names in its options, the right one first; only items whose options differ in the name alone."""
        return {}

    @abstractmethod
    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return the predictions, one per item and metric."""

    def chat_questions(self) -> Iterable[ChatQuestion]:
        """Return the questions as chat models are asked them; none if only a CLIP can be asked."""
        return ()

    @abstractmethod
    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the items about unreadable pictures; each such item is listed with its reason.

        Args:
            failed: Key of a picture -> reason why it cannot be read.
        """

    def _less(self, field: str, pictures: Callable[[Any], Iterable[str]], failed: Mapping[str, str]) -> Self:
        """Return the result of :meth:`without` from the field with the items and the keys of an item's pictures."""
        kept, lost = split_readable(getattr(self, field), pictures, failed)
        asked: dict[str, Any] = {field: kept}
        return replace(self, images=Readable(self.images, failed), unposed=(*self.unposed, *lost), **asked)

    def card(self) -> dict[str, Any]:
        """Return the declaration, counts and hash, as JSON."""
        return {
            **asdict(self.declaration),
            "status": "ready" if self.size else "empty",
            "items": self.size,
            "images": len(self.images),
            "texts": len(self.texts),
            "concepts": len(self.concepts),
            "left_out": _count_reasons(self.unposed),
            "left_out_items": [asdict(item) for item in self.unposed],
            "changed": _count_reasons(self.changed),
            "changed_items": [asdict(item) for item in self.changed],
            "chances": self.chances,
            "task": self.task,
            "data_hash": self.data_hash,
        }


def _count_reasons(items: Iterable[Unposed | Changed]) -> dict[str, int]:
    return dict(sorted(Counter(item.reason for item in items).items()))


class Readable(Mapping[str, np.ndarray]):
    """All pictures except the unreadable ones; no picture is decoded to find out.

    Args:
        images: All pictures.
        failed: Keys of the unreadable pictures.
    """

    def __init__(self, images: Mapping[str, np.ndarray], failed: Collection[str]) -> None:
        self.images = images
        self.keys_left = dict.fromkeys(key for key in images if key not in failed)

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the pixels of a picture."""
        if key not in self.keys_left:
            raise KeyError(key)
        return self.images[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_left)

    def __len__(self) -> int:
        return len(self.keys_left)


def split_readable(
    items: Iterable[Item], pictures: Callable[[Item], Iterable[str]], failed: Mapping[str, str]
) -> tuple[tuple[Item, ...], tuple[Unposed, ...]]:
    """Return the items whose pictures can all be read, and an unposed item for each of the others.

    Args:
        items: The items.
        pictures: Function that gives the keys of an item's pictures.
        failed: Key of a picture -> reason why it cannot be read.
    """
    kept, lost = [], []
    for item in items:
        broken = [key for key in pictures(item) if key in failed]
        if broken:
            lost.append(Unposed("; ".join(f"{key}: {failed[key]}" for key in broken), UNREADABLE))
        else:
            kept.append(item)
    return tuple(kept), tuple(lost)
