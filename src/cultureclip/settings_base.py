"""The base of all settings: validated, frozen values. No heavy import, so that a configuration is checked fast."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Settings(BaseModel):
    """Validated values that cannot be changed. A key that nothing reads is refused.

    Each domain owns the settings of its code, a stage's parameters compose them, and nodes hand them over whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


def make_named(fields: object, kind: type[Any], registry: Mapping[str, str], package: str) -> Any:
    """Make what an entry's ``type`` names; its module is imported only now.

    Args:
        fields: The entry's fields, or what is made already.
        kind: What all of the registry are.
        registry: Type -> ``module:Class`` in the package.
        package: The package.

    Raises:
        ValueError: if there is no such type, or one of its fields is wrong.
    """
    if isinstance(fields, kind):
        return fields
    named: Mapping[str, Any] = fields if isinstance(fields, Mapping) else {}
    if named.get("type") not in registry:
        raise ValueError(f"give a type, one of {', '.join(registry)}; this is {fields!r}")
    module, _, name = registry[named["type"]].partition(":")
    return getattr(import_module(f"{package}.{module}"), name).model_validate(named)


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


def walk_settings(value: Any, path: str = "", owner: Any = None) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted path, the settings or collection it stands in, and value of everything inside settings."""
    inner: Mapping[Any, Any]
    if isinstance(value, Settings):
        inner = dict(value)
    elif isinstance(value, Mapping):
        inner = value
    elif isinstance(value, list | tuple):
        inner = dict(enumerate(value))
    else:
        yield path, owner, value
        return
    for key, item in inner.items():
        yield from walk_settings(item, f"{path}.{key}" if path else str(key), value)
