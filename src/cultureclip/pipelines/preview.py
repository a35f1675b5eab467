"""Parameters and selection of the first items, shared by all previews."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import Field

from cultureclip.concepts.exclusions import Excluding

Item = TypeVar("Item")


class PreviewParameters(Excluding):
    """How much a preview shows.

    Attributes:
        items: Items of the stage: regions and categories of mining, concepts of captioning, images of synthesis. A page
            of more is not read.
    """

    items: int = Field(ge=1, le=1000)


@dataclass(frozen=True)
class First(Generic[Item]):
    """The first items of a stage.

    Attributes:
        items: The items.
        total: Number of all items.
    """

    items: Sequence[Item]
    total: int
