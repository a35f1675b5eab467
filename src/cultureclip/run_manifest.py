"""The manifest of a run: on disk from its start, since the report reads it and a killed run leaves one as well."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from kedro.io import AbstractDataset, AbstractVersionedDataset, CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from cultureclip import provenance
from cultureclip.datasets.versions import WholeVersions, explaining
from cultureclip.engine.temporary import at_work, is_temporary, remove, sweep, temporary_beside
from cultureclip.errors import ConfigurationError
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError

MANIFEST = "run_manifest"
AUDIT_METRICS = "teacher_audit_metrics"


def runs_in_progress(catalog: CatalogProtocol[Any, Any]) -> dict[str, int]:
    """Return the ids of the runs of this project that are in progress, each with its process id."""
    return at_work(_find(catalog, MANIFEST).saved_path().parents[1])


def runs_begun(catalog: CatalogProtocol[Any, Any]) -> set[str]:
    """Return the ids of the runs of this project that have a manifest: a run saves it before anything else."""
    folder = _find(catalog, MANIFEST).saved_path().parents[1]
    return {path.name for path in folder.glob("*") if not is_temporary(path.name)}


def read_audits(catalog: CatalogProtocol[Any, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the audits of chat models that this project has, the newest first, each with the id of its run.

    One that cannot be read is passed over, because no run should fail for what its manifest quotes.
    """
    dataset = catalog.get(AUDIT_METRICS)
    if not isinstance(dataset, WholeVersions):
        return
    path = dataset.saved_path()
    for folder in sorted(path.parents[1].glob("*"), reverse=True):
        if is_temporary(folder.name) or not (folder / path.name).is_file():
            continue
        with suppress(OSError, RefusedError):
            yield folder.name, read_object(folder / path.name)


class RunManifest:
    """Keeps the manifest of one run up to date.

    Args:
        run_id: Id of the run; also the name of the versions that it saves.
        facts: Facts known at its start.
        pipeline: Pipeline of the run.
        catalog: The run's own.
    """

    def __init__(
        self, run_id: str, facts: Mapping[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        self._catalog, self._outputs = catalog, pipeline.all_outputs()
        self._record = provenance.RunRecord()
        self._facts = {"run_id": run_id, "started": self._record.started, **facts}
        self._path = self.saved_path(MANIFEST)
        self._mark = temporary_beside(self._path.parent)
        self._reused: dict[str, str] = {}
        self._lock = Lock()  # a ThreadRunner ends several nodes at once

    def begin(self) -> None:
        """Save the manifest, and mark the run as in progress for as long as its process lives.

        Raises:
            ConfigurationError: if another run has this id.
            VersionStorageError: if the disk is full, or the folder is not writable.
        """
        if self._path.exists():
            cause = "another run started in the same millisecond and has its id"
            raise ConfigurationError(f"run {self._facts['run_id']}", cause, "Start this run again")
        sweep(self._path.parents[1])
        with explaining(self._path):
            self._path.parents[1].mkdir(parents=True, exist_ok=True)
            self._mark.touch()  # before the manifest: who sees that finds the run at work
        try:
            self._catalog.save(MANIFEST, self._content("running"))
        except DatasetError:
            remove(self._mark)
            raise

    def start_node(self, node: Node) -> None:
        """Note the inputs of a node, of raw files also the content, and start its clock."""
        self._note_inputs(node)
        self._record.start_node(node.name)

    def note_reused(self, stage: str, nodes: Iterable[Node], earlier: str) -> None:
        """Note that a stage was not run, because an earlier run has made the same of the same inputs."""
        for node in nodes:
            self._note_inputs(node)
        self._reused[stage] = earlier
        self._save("running")

    def _note_inputs(self, node: Node) -> None:
        for name in set(node.inputs) - self._record.loaded:
            path = _raw_file(self._catalog.get(name))
            if path is not None:
                self._record.data_hashes[name] = provenance.hash_file(path)
            self._record.loaded.add(name)

    def stop_node(self, node: Node) -> float:
        """Stop a node's clock, bring the manifest up to date, and return the node's seconds."""
        seconds = self._record.stop_node(node.name)
        self._save("running")
        with suppress(FileNotFoundError):
            os.utime(self._mark)  # a sign of life for other machines
        return seconds

    def end(self, error: BaseException | None = None) -> None:
        """Close the manifest of a run that completed, or failed with an error.

        Raises:
            VersionStorageError: if it cannot be saved.
        """
        try:
            self._save(_status(error), error)
        finally:
            remove(self._mark)

    def saved(self) -> dict[str, str]:
        """Return the versions that this run has saved, by dataset."""
        names = sorted(self._outputs | {MANIFEST})
        datasets = {name: dataset for name in names if isinstance(dataset := self._catalog.get(name), WholeVersions)}
        return {name: dataset.resolve_save_version() or "" for name, dataset in datasets.items() if dataset.is_saved()}

    def saved_path(self, name: str) -> Path:
        """Return the path of this run's version of a dataset."""
        return _find(self._catalog, name).saved_path()

    def log_path(self) -> Path:
        """Return the path of this run's log: beside the manifests, under the run's id."""
        return self._path.parents[2] / "logs" / f"{self._facts['run_id']}.log"

    def _save(self, status: str, error: BaseException | None = None) -> None:
        """Write the manifest again in its place: a version is a run, and the catalog saves a version only once."""
        with self._lock:
            _find(self._catalog, MANIFEST).rewrite(self._content(status, error))

    def _content(self, status: str, error: BaseException | None = None) -> dict[str, Any]:
        record = self._record
        return {
            **self._facts,
            "status": status,
            "error": f"{type(error).__name__}: {error}" if error else None,
            "updated": provenance.now(),
            "load_versions": self._loaded(),
            "save_versions": self.saved(),
            "data_hashes": dict(record.data_hashes),
            "node_seconds": dict(record.node_seconds),
            "reused": dict(self._reused),
        }

    def _loaded(self) -> dict[str, str]:
        datasets = {name: self._catalog.get(name) for name in sorted(self._record.loaded)}
        versioned = {name: d for name, d in datasets.items() if isinstance(d, AbstractVersionedDataset)}
        found = {name: dataset.resolve_load_version() for name, dataset in versioned.items()}
        return {name: version for name, version in found.items() if version is not None}


def _status(error: BaseException | None) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "failed" if error else "completed"


def _find(catalog: CatalogProtocol[Any, Any], name: str) -> WholeVersions:
    dataset = catalog.get(name)
    if not isinstance(dataset, WholeVersions):
        raise ConfigurationError(f"catalog entry {name}", f"{dataset} is not of this package", "Keep its type")
    return dataset


def _raw_file(dataset: AbstractDataset[Any, Any] | None) -> Path | None:
    """Return the file of an external dataset; a benchmark may be a folder or absent, and its card has its hash."""
    metadata = getattr(dataset, "metadata", None) or {}
    if dataset is None or metadata.get("kedro-viz", {}).get("layer") != "raw":
        return None
    path = Path(str(dataset._describe()["filepath"]))
    return path if path.is_file() else None
