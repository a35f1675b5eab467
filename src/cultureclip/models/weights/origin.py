"""Where a model comes from: its revision and its licence, as its folder, its card or its package says."""

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import yaml

from cultureclip.models.weights.locate import HUB_SCHEME, PACKAGE_SCHEME
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError, read_bytes

CARDS = ("card.json", "README.md")
"""Files of a model that may name its licence: pocket's own card, and the hub's."""
_DOWNLOADS = Path(".cache", "huggingface", "download")
"""Notes that ``hf download --local-dir`` leaves in the folder; the first line of each is the commit."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SNAPSHOTS = "snapshots"
_UNSAID = frozenset({"", "UNKNOWN", "unknown"})


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        revision: Commit of the hub, or name and version of the package; None where nothing tells.
        licence: As the card or the package says; None where neither does.
    """

    revision: str | None
    licence: str | None


def find_origin(spec: str, path: Path) -> Origin:
    """Find revision and licence of a model that is here.

    Args:
        spec: Location as configured.
        path: Its resolved location.
    """
    folder = path if path.is_dir() else path.parent
    package = _find_package(spec)
    licence = _licence_of(folder) or (package and _licence_of_package(package))
    return Origin(_revision_of(spec, folder, package), licence or None)


def _revision_of(spec: str, folder: Path, package: metadata.Distribution | None) -> str | None:
    if folder.parent.name == _SNAPSHOTS and _COMMIT.fullmatch(folder.name):
        return folder.name
    if spec.startswith(HUB_SCHEME):
        return spec.partition("@")[2] or None
    for note in sorted((folder / _DOWNLOADS).rglob("*.metadata")):
        commit = note.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
        if _COMMIT.fullmatch(commit):
            return commit
    return f"{package.name} {package.version}" if package else None


def _find_package(spec: str) -> metadata.Distribution | None:
    if not spec.startswith(PACKAGE_SCHEME):
        return None
    module = spec.removeprefix(PACKAGE_SCHEME).partition("/")[0].partition(".")[0]
    names = metadata.packages_distributions().get(module)
    return metadata.distribution(names[0]) if names else None


def _licence_of(folder: Path) -> str | None:
    own, hub = (folder / name for name in CARDS)
    try:
        if own.is_file() and (named := str(read_object(own).get("licence") or "")):
            return named
        return _licence_in_header(read_bytes(hub, MAX_DATA_BYTES).decode("utf-8", "replace")) if hub.is_file() else None
    except (OSError, RefusedError):
        return None


def _licence_in_header(card: str) -> str | None:
    """Read the licence of a hub's card: ``license``, or ``license_name`` where that says ``other``."""
    if not card.startswith("---"):
        return None
    try:
        fields = yaml.safe_load(card.split("---", 2)[1])
    except yaml.YAMLError:
        return None
    if not isinstance(fields, dict):
        return None
    named = fields.get("license")
    text = str((fields.get("license_name") or named) if named == "other" else named or "")
    return None if text in _UNSAID else text


def _licence_of_package(package: metadata.Distribution) -> str | None:
    about = package.metadata.json
    text = str(about.get("license_expression") or about.get("license") or "")
    line = text.strip().partition("\n")[0]
    return None if line in _UNSAID else line[:80]
