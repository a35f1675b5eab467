"""What an entry of the catalog says about a benchmark: read before any work starts, so it imports nothing heavy."""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cultureclip.benchmarks.sources.formats import AnyFormat

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
"""What can be asked; :data:`cultureclip.benchmarks.sources.protocols.PROTOCOLS` has how."""


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str = Field(min_length=1)
    protocol: ProtocolName
    format: AnyFormat
    source: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    revision: str | None = None
    holds_out: Literal["images", "concepts"] = "images"
    columns: Mapping[str, str] = Field(default_factory=dict)
    templates: tuple[str, ...] = ()
