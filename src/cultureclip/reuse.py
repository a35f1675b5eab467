"""Stages that need not run again: the key of all that decides a stage's results, and the versions made under it.

The key holds the code, the versions of packages, the parameters and every file that they name, and the content of every
input. Where a stage reads what the key cannot tell, such as pictures in files, it has no key and always runs.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, CatalogProtocol
from kedro.pipeline import Pipeline
from pydantic import BaseModel, ConfigDict, ValidationError

from cultureclip.datasets.image_store_dataset import ImageStoreDataset
from cultureclip.datasets.keyed_store_dataset import KeyedStoreDataset
from cultureclip.datasets.review_dataset import ReviewDataset
from cultureclip.datasets.versions import WholeVersions
from cultureclip.engine.atomic import replacing
from cultureclip.ids import digest
from cultureclip.models.named import find_place
from cultureclip.models.settings import ModelPath
from cultureclip.models.weights.fingerprint import file_digest
from cultureclip.pictures.registry import find_scheme, find_style
from cultureclip.pipeline_registry import STAGES
from cultureclip.provenance import list_packages
from cultureclip.run_manifest import MANIFEST
from cultureclip.settings_base import Settings, walk_settings

REUSED = frozenset(STAGES) - {"synthesis"}
"""Stages that may be taken from an earlier run. Synthesis always compares the stored images with their checksums."""

_CACHES = frozenset({"work_dir", "embedding_cache"})
"""Parameters that name folders of what is kept under keys of its own: what is in them changes no result."""
_WITHOUT_EFFECT = frozenset({MANIFEST, "params:engine"})
_PACKAGE = Path(str(files("cultureclip")))
_SOURCES = (".py", ".csv")


class Made(BaseModel):
    """What a stage has made.

    Attributes:
        key: Key of all that decided it.
        run: Id of the run.
        versions: Dataset -> version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    run: str
    versions: dict[str, str]


class MadeStages:
    """The newest results of each stage, in a file that is lost without harm.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, stage: str, key: str) -> Made | None:
        """Return what a stage has made under a key."""
        made = self._read().get(stage)
        return made if made is not None and made.key == key else None

    def note(self, stage: str, made: Made) -> None:
        """Note what a stage has made."""
        noted = self._read() | {stage: made}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as temporary:
            temporary.write_text(_Noted(stages=noted).model_dump_json(indent=1) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, Made]:
        try:
            return _Noted.model_validate_json(self.path.read_bytes()).stages
        except (OSError, ValidationError):
            return {}


class _Noted(BaseModel):
    """Content of the file."""

    model_config = ConfigDict(extra="forbid")

    stages: dict[str, Made]


def find_key(nodes: Pipeline, catalog: CatalogProtocol[Any, Any]) -> str | None:
    """Return the key of all that decides a stage's results; None where that cannot be told.

    Args:
        nodes: The stage.
        catalog: Catalog of the run; what the stage reads is there.
    """
    parts: dict[str, str] = {}
    for name in sorted(nodes.inputs() - _WITHOUT_EFFECT):
        content = _describe_input(name, catalog)
        if content is None:
            return None
        parts[name] = content
    names = sorted(node.name for node in nodes.nodes)
    return digest("stage", _digest_code(), list_packages(), sys.version, names, parts)


def are_pictures_drawn(nodes: Pipeline, catalog: CatalogProtocol[Any, Any]) -> bool:
    """Tell whether a stage's concepts and general pairs have drawings alone: files of pictures are not in its key."""
    tables = {"concepts": "reference_image", "concept_sources": "reference_images", "general_pairs": "picture"}
    named = [(catalog.load(name), column) for name, column in tables.items() if name in nodes.datasets()]
    return all(column in table and _are_drawn(table[column]) for table, column in named)


def _are_drawn(cells: pd.Series) -> bool:
    return all(find_scheme(what) or find_style(what) for what in cells.explode().dropna())


def _describe_input(name: str, catalog: CatalogProtocol[Any, Any]) -> str | None:
    dataset = catalog.get(name)
    if name.startswith("params:"):
        return _describe_settings(catalog.load(name))
    if isinstance(dataset, KeyedStoreDataset | ImageStoreDataset):
        return "a store, whose entries have keys of their own"
    if isinstance(dataset, WholeVersions):
        version = dataset.resolve_load_version()
        return None if version is None else _digest_files(dataset.version_path(version))
    return _describe_raw(dataset)


def _describe_raw(dataset: AbstractDataset[Any, Any] | None) -> str | None:
    """Digest a file from outside that a dataset of Kedro reads whole, or people's decisions."""
    if dataset is None or not (
        isinstance(dataset, ReviewDataset) or type(dataset).__module__.startswith("kedro_datasets.")
    ):
        return None
    path = Path(str(dataset._describe().get("filepath", "")))
    parts = [path, path.with_name(f"{path.name}-wal")]  # SQLite's newest pages lie beside its file
    return digest([file_digest(part) if part.is_file() else None for part in parts])


def _describe_settings(settings: Any) -> str | None:
    """Digest a stage's parameters with the files and models that they name."""
    if not isinstance(settings, Settings) or getattr(settings, "as_released", None):  # some defects are random
        return None
    named: dict[str, str] = {}
    for path, _, value in walk_settings(settings):
        if path in _CACHES or not isinstance(value, str):
            continue
        place = find_place(value) if isinstance(value, ModelPath) else _find_file(value)
        if place is not None and place.is_dir() and not isinstance(value, ModelPath):
            return None
        if place is not None:
            named[path] = _digest_files(place)
    return digest(settings.model_dump(mode="json"), named)


def _find_file(text: str) -> Path | None:
    try:
        return Path(text) if text and Path(text).exists() else None
    except (OSError, ValueError):  # too long, or with a null byte
        return None


def _digest_files(place: Path) -> str:
    """Digest a file, or every file of a folder."""
    found = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    return digest([(path.relative_to(place).as_posix(), file_digest(path)) for path in found])


@cache
def _digest_code() -> str:
    """Digest the sources of this package."""
    hasher = sha256()
    for path in sorted(path for path in _PACKAGE.rglob("*") if path.suffix in _SOURCES):
        hasher.update(f"{path.relative_to(_PACKAGE).as_posix()} {file_digest(path)}\n".encode())
    return hasher.hexdigest()


def list_versions(nodes: Pipeline, catalog: CatalogProtocol[Any, Any]) -> Mapping[str, WholeVersions]:
    """Return the versioned datasets that a stage makes, by name."""
    return dict(_versioned(nodes, catalog))


def _versioned(nodes: Pipeline, catalog: CatalogProtocol[Any, Any]) -> Iterator[tuple[str, WholeVersions]]:
    for name in sorted(nodes.all_outputs()):
        dataset = catalog.get(name) if name in catalog else None
        if isinstance(dataset, WholeVersions) and dataset.resolve_save_version():
            yield name, dataset
