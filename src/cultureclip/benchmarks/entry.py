"""What an entry of the catalog says about a benchmark: read before any work starts, so it imports nothing heavy."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cultureclip.benchmarks.formats.registry import AnyFormat

ProtocolName = Literal[
    "globalrg_grounding",
    "globalrg_retrieval",
    "crope",
    "culturally_closer",
    "image_text_retrieval",
    "linear_probe",
    "pairs",
    "ranked_documents",
    "twin_scores",
    "zero_shot",
]
"""What can be asked; :data:`cultureclip.benchmarks.protocols.registry.PROTOCOLS` has how."""


_NAMING: tuple[ProtocolName, ...] = ("globalrg_grounding", "crope", "culturally_closer", "linear_probe", "zero_shot")
"""Protocols whose rows name a concept or class, which a training row can be compared with."""

_IN_TWO_VARIANTS: tuple[ProtocolName, ...] = ("globalrg_grounding", "globalrg_retrieval", "crope")
"""Protocols that are asked as published and fairly."""


_READ: Mapping[ProtocolName, tuple[str, ...]] = {
    "globalrg_grounding": ("image", "concept", "region"),
    "globalrg_retrieval": ("image", "universal", "region"),
    "crope": (
        "image",
        "definition_images",
        "metadata.image_en_concept",
        "metadata.definition_concept",
        "answer",
    ),
    "culturally_closer": ("annotated",),
    "image_text_retrieval": ("image", "captions"),
    "linear_probe": ("image", "label", "split", "region"),
    "pairs": ("image", "caption", "negative_caption", "subset"),
    "ranked_documents": ("image", "documents", "region", "category"),
    "twin_scores": ("image_0", "image_1", "caption_0", "caption_1", "tag"),
    "zero_shot": ("image", "label", "region"),
}
"""Columns that each protocol reads, as :mod:`cultureclip.benchmarks.protocols.registry` says."""


class Entry(BaseModel):
    """What the catalog says about a benchmark.

    Attributes:
        name: Its key in tables; letters, digits and hyphens.
        title: Its name for readers.
        protocol: What is asked.
        format: How it lies on disk.
        source: Where it comes from: an address.
        licence: Licence of the pictures.
        revision: Of the owner's data.
        holds_out: What training must not contain of it.
        columns: The protocol's name of a column -> the owner's, where they differ.
        templates: Texts with ``{c}`` for the class name; by default those that lie beside the data.
        as_published: Whether ``accuracy`` is to be compared with published figures: then its wrong options follow the
            owners' rule alone, which does not see that a picture may have two right answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    title: str = Field(min_length=1, max_length=200)
    protocol: ProtocolName
    format: AnyFormat
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    revision: str | None = None
    holds_out: Literal["images", "concepts"] = "images"
    columns: Mapping[str, str] = Field(default_factory=dict)
    templates: tuple[str, ...] = ()
    as_published: bool = False

    @model_validator(mode="after")
    def _check_held_out(self) -> Self:
        if self.holds_out == "concepts" and self.protocol not in _NAMING:
            raise ValueError(f"holds_out: concepts needs a protocol that names them: {', '.join(_NAMING)}")
        if self.as_published and self.protocol not in _IN_TWO_VARIANTS:
            asked = ", ".join(_IN_TWO_VARIANTS)
            raise ValueError(f"as_published needs a protocol that is asked in two variants: {asked}")
        return self

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if unread := [name for name in self.columns if name not in _READ[self.protocol]]:
            read = ", ".join(_READ[self.protocol])
            raise ValueError(f"columns: {self.protocol} reads no {', '.join(unread)}; it reads {read}")
        return self
