"""A benchmark's question as a chat model is asked it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["choice", "yes_no", "caption"]
YES_NO = ("yes", "no")
NO_PICTURE = ", no picture"
"""End of the name of a metric whose items are asked without their pictures."""
MOST_OPTIONS = 26
"""Options that have a letter each."""


@dataclass(frozen=True, kw_only=True)
class ChatQuestion:
    """One question to a chat model.

    Attributes:
        item_id: ``<metric>:<id>``; of a caption the metric is put before the id when it is scored.
        kind: A choice among options, yes or no, or a caption in the model's own words.
        image: Key of the picture asked about; empty if none is shown.
        asked: The question; empty if the options are statements about the picture; of yes or no the name of the thing.
        options: Answers, the right one first; of a caption none.
        context: A text that goes before: a definition or a document.
        context_images: Keys of pictures of the thing asked about, shown before the picture.
        cluster: Unit of resampling.
        part: ``dev`` or ``test``.
        culture: Region that the question is about, if any.
        category: Kind of thing or of answer, if any.
        references: Captions by people, of a caption.
    """

    item_id: str
    kind: Kind
    image: str
    asked: str
    options: tuple[str, ...] = ()
    context: str = ""
    context_images: tuple[str, ...] = ()
    cluster: str
    part: str = "test"
    culture: str = ""
    category: str = ""
    references: tuple[str, ...] = ()

    @property
    def pictures(self) -> tuple[str, ...]:
        """Keys of all pictures, in the order in which they are shown."""
        return (*self.context_images, self.image) if self.image else self.context_images
