"""JSON from outside: bounded in size, and one error for whatever is wrong with it."""

import json
from pathlib import Path
from typing import Any

from cultureclip.reading.text import MAX_CONFIG_BYTES, RefusedError, decode, read_bytes


def parse_json(content: str | bytes) -> Any:
    """Return the value that a JSON text holds.

    Raises:
        RefusedError: if it is not UTF-8, not JSON, or nested too deeply to be read.
    """
    text = decode(content) if isinstance(content, bytes) else content
    try:
        return json.loads(text)
    except RecursionError as error:
        raise RefusedError("not JSON that can be read: brackets are nested too deeply") from error
    except ValueError as error:
        raise RefusedError(f"not JSON ({error})") from error


def parse_object(content: str | bytes) -> dict[str, Any]:
    """Return the object that a JSON text holds.

    Raises:
        RefusedError: see :func:`parse_json`; or if it holds something else.
    """
    found = parse_json(content)
    if not isinstance(found, dict):
        raise RefusedError(f"not a JSON object, but {_KINDS.get(type(found), 'a number')}")
    return found


def read_object(path: Path, most: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        OSError: if the file is not there or cannot be read.
        RefusedError: see :func:`parse_object` and :func:`~cultureclip.reading.text.read_bytes`.
    """
    return parse_object(read_bytes(path, most))


_KINDS = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
