"""A benchmark's catalog entry. Entries are read before any work starts, so this module imports nothing heavy."""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cultureclip.benchmarks.formats.registry import AnyFormat
from cultureclip.benchmarks.protocols.registry import RENAMED, ProtocolName, all_protocols, load_protocol


class Entry(BaseModel):
    """A benchmark's entry in the catalog.

    Attributes:
        name: Key in tables; letters, digits and hyphens.
        title: Name for readers.
        protocol: Name of the protocol that asks the questions.
        format: Format of the files on disk.
        source: Address of the data.
        licence: Licence of the pictures.
        revision: Revision of the owner's data.
        holds_out: What of the benchmark must not be in the training data.
        columns: The protocol's name of a column -> the owner's name, where the two differ.
        templates: Texts with ``{c}`` for the class name; by default those in the files beside the data.
        as_published: Whether ``accuracy`` is compared with published figures. If so, its wrong options follow the
            owners' rule alone, which does not see that a picture may have two right answers.
        as_released: Whether these options are also drawn as the released code draws them (defect 10), to price it.
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
    as_released: bool = False

    @field_validator("protocol", mode="before")
    @classmethod
    def _check_renamed(cls, name: object) -> object:
        if isinstance(name, str) and name in RENAMED:
            raise ValueError(f"{name} is called {RENAMED[name]}: write protocol: {RENAMED[name]}")
        return name

    @model_validator(mode="after")
    def _check_protocol(self) -> Self:
        # Import the protocol only where a check needs it.
        if self.holds_out == "concepts" and not load_protocol(self.protocol).names_concepts:
            fitting = ", ".join(name for name, protocol in all_protocols().items() if protocol.names_concepts)
            raise ValueError(f"holds_out: concepts needs a protocol that names them: {fitting}")
        if self.as_published and not load_protocol(self.protocol).has_published_variant:
            fitting = ", ".join(name for name, protocol in all_protocols().items() if protocol.has_published_variant)
            raise ValueError(f"as_published needs a protocol that has two variants: {fitting}")
        if self.as_released and not self.as_published:
            raise ValueError("as_released needs as_published: true")
        return self

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if not self.columns:
            return self
        read = load_protocol(self.protocol).columns
        if unread := [name for name in self.columns if name not in read]:
            raise ValueError(f"columns: {self.protocol} reads no {', '.join(unread)}; it reads {', '.join(read)}")
        return self
