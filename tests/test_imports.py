"""Imports go one way: a room knows the rooms below it, and no two modules know each other."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cultureclip

SOURCE = Path(cultureclip.__file__).parent
FLOORS = (
    {"cli"},
    {"settings"},
    {"hooks", "runner", "store_command", "tracking"},
    {"survey"},
    {"reuse"},
    {"preflight", "run_log", "run_manifest"},
    {"pipeline_registry"},
    {"pipelines"},
    {"review", "readiness"},
    {"report", "datasets"},
    {"scoring", "exchange", "audit"},
    {"benchmarks"},
    {"pocket"},
    {"clip", "judging", "captions"},
    {"attribution"},
    {"images", "concepts"},
    {"prompts"},
    {"models"},
    {"engine", "provenance"},
    {"pictures", "reading", "prediction_powered"},
    {"errors", "graphs", "ids", "drawings", "session_config", "settings_base", "statistics", "tables"},
)
"""Rooms and single modules from the top of the house to the ground; those of one floor do not know each other."""
OUTSIDE = {"cultureclip", "__main__"}
"""The library's front door, which offers names of many rooms, and the command; nothing inside asks them for more."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def read_imports(source: Path) -> dict[str, set[str]]:
    """Each module of the package, by its path below it -> the modules that it imports anywhere in its text."""
    files = {".".join(file.relative_to(source).with_suffix("").parts): file for file in sorted(source.rglob("*.py"))}
    modules = {name.removesuffix("__init__").removesuffix(".") or "cultureclip": file for name, file in files.items()}
    return {
        module: {
            place
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            for name in named_by(node)
            for place in [find_module(name, modules)]
            if place not in {None, module}
        }
        for module, file in modules.items()
    }


def named_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are written in full"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def find_module(name: str, modules: dict[str, Path]) -> str | None:
    """``cultureclip.ids.hash_text`` -> ``ids``: what is imported is a module, or stands in one."""
    package, _, place = name.partition(".")
    if package != "cultureclip":
        return None
    while place and place not in modules:
        place = place.rpartition(".")[0]
    return place or None


def upward(imports: dict[str, set[str]]) -> list[str]:
    rooms = {
        (module, other, module.split(".")[0], other.split(".")[0]) for module in imports for other in imports[module]
    }
    return sorted(
        f"{module} -> {other}" for module, other, own, room in rooms if own != room and FLOOR[own] >= FLOOR[room]
    )


def test_rooms_know_only_rooms_below_them():
    imports = read_imports(SOURCE)
    own = {module for module in imports if module not in OUTSIDE}
    assert {module.split(".")[0] for module in own} == FLOOR.keys()
    assert upward({module: imports[module] for module in own}) == []


def test_no_two_modules_know_each_other():
    imports = read_imports(SOURCE)
    TopologicalSorter({module: imports[module] for module in imports if module not in OUTSIDE}).prepare()


def test_an_import_in_a_function_counts(tmp_path):
    for module, text in {"scoring": "def f():\n    from cultureclip.report import page\n", "report/page": ""}.items():
        file = tmp_path / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    imports = read_imports(tmp_path)
    assert upward(imports) == ["scoring -> report.page"]
    with pytest.raises(CycleError):
        TopologicalSorter(imports | {"report.page": {"scoring"}}).prepare()
