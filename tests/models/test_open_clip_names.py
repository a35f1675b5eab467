"""Only documented names of libraries: private ones change without notice, as open_clip's do on the way to version 4."""

import ast
from pathlib import Path

import pytest

import cultureclip

SOURCE = Path(cultureclip.__file__).parent
ALLOWED = {"_asdict", "_describe"}
"""A named tuple's documented method; what Kedro asks every dataset to define."""


def find_private(text: str) -> list[str]:
    """Private names that code reads from something other than its own instance or class, or imports."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names = [node.attr] if isinstance(node, ast.Attribute) and not is_own(node.value) else []
        if isinstance(node, ast.ImportFrom) and not str(node.module).startswith("cultureclip"):
            names = [alias.name for alias in node.names]
        found += [f"line {node.lineno}: {name}" for name in names if name.startswith("_") and not name.endswith("__")]
    return [place for place in found if place.rpartition(" ")[2] not in ALLOWED]


def is_own(node: ast.expr) -> bool:
    while isinstance(node, ast.Call):  # super()
        node = node.func
    return isinstance(node, ast.Name) and node.id in {"self", "cls", "super"}


def test_no_private_name_of_a_library_is_used():
    faults = {file.name: found for file in SOURCE.rglob("*.py") if (found := find_private(file.read_text("utf-8")))}
    faults.pop("site_dataset.py", None)  # a copy of itself
    assert faults == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("model.visual._pool(x)", ["line 1: _pool"]),
        ("from open_clip.factory import _rescan\n", ["line 1: _rescan"]),
        ("self._rows = cls._made\nx.__class__\nfrom cultureclip.ids import _x\npair._asdict()", []),
    ],
)
def test_private_names_are_told(text, found):
    assert find_private(text) == found
