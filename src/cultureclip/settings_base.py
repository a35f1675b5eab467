"""The base of all settings: validated, frozen values. No heavy import, so that a configuration is checked fast."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Settings(BaseModel):
    """Validated values that cannot be changed. A key that nothing reads is refused.

    Each domain owns the settings of its code, a stage's parameters compose them, and nodes hand them over whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


class TypedText(str):
    """A text whose type says what it is for, so that checks find it among settings wherever it stands.

    Attributes:
        pattern: Regular expression that the text matches; None allows any text that is not empty.
    """

    __slots__ = ()
    pattern: str | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let Pydantic read a text and keep its type."""
        text = core_schema.str_schema(min_length=1, pattern=cls.pattern)
        return core_schema.no_info_after_validator_function(cls, text, serialization=core_schema.to_string_ser_schema())


class Device(TypedText):
    """Where a model runs: ``cpu``, ``mps``, ``cuda`` or ``cuda:<number>``."""

    __slots__ = ()
    pattern = r"^(cpu|mps|cuda(:\d+)?)$"


CPU = Device("cpu")
