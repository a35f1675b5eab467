"""Hooks: nothing starts that cannot end well, and every run leaves a manifest of what it was."""

import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro_datasets.json import JSONDataset

from cultureclip import provenance
from cultureclip.pipeline_registry import register_pipelines
from cultureclip.preflight import (
    check_devices,
    check_inputs,
    check_parameters,
    check_roles,
    check_working_directory,
    locate_models,
    read_stages,
    select_stages,
)
from cultureclip.session_config import SessionConfig, note_config

logger = logging.getLogger(__name__)

MANIFEST, REPORT, RESULTS = "run_manifest", "report", "results"


class ProjectHooks:
    """One instance serves one session at a time; what it notes is started afresh with every context."""

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._conf_catalog: dict[str, Any] = {}
        self._manifest: dict[str, Any] = {}
        self._record = provenance.RunRecord()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Stay offline unless told otherwise, and refuse parameters that nothing would read.

        The config is noted for the pipelines until they are built: that comes after this hook, and they read their
        shape from it.
        """
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ.setdefault(name, "1")
        note_config(SessionConfig(str(context.config_loader.conf_source), context.env))
        self._parameters = dict(context.config_loader["parameters"])
        check_parameters(self._parameters, context.config_loader.runtime_params or {})

    @hook_impl
    def after_catalog_created(self, conf_catalog: dict[str, Any]) -> None:
        """Keep the catalog's configuration: it says where raw files lie."""
        self._conf_catalog = conf_catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Stop before any work when an input, a model or a device is missing or cannot be right.

        Else the run's manifest begins. It lies on disk from the start: the report reads it, and a killed run leaves one
        as well.
        """
        try:
            check_working_directory(Path(run_params["project_path"]))
            env, versions = run_params["env"], run_params["load_versions"]
            check_inputs(pipeline, catalog, register_pipelines(), {MANIFEST}, env, versions)
        finally:
            note_config(None)
        stages = read_stages(self._parameters)
        running = select_stages(pipeline, stages)
        models = locate_models(running)
        check_roles(pipeline, stages)
        check_devices(running)
        self._record = provenance.RunRecord()
        self._manifest = {
            "run_id": run_params["run_id"],
            "pipelines": run_params["pipeline_names"] or ["__default__"],
            "env": run_params["env"],
            "started": self._record.started,
            "git": provenance.describe_git(Path(run_params["project_path"])),
            "machine": provenance.describe_machine(),
            "packages": provenance.list_packages(),
            "parameters": self._parameters,
            "seeds": provenance.find_seeds(self._parameters),
            "models": models,
        }
        catalog.save(MANIFEST, self._manifest | self._describe_progress(catalog, "running"))

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the node's clock."""
        self._record.start_node(node.name)

    @hook_impl
    def after_node_run(self, node: Node, catalog: CatalogProtocol) -> None:
        """Stop the node's clock and bring the manifest up to date."""
        self._record.stop_node(node.name)
        self._update_manifest(catalog, "running")

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str) -> None:
        """Note what was read; of raw files, which come from outside, also the content."""
        entry = self._conf_catalog.get(dataset_name, {})
        if dataset_name not in self._record.loaded and _layer(entry) == "raw":
            path = Path(entry["filepath"])
            if path.is_file():  # a benchmark may be a folder, or absent: its card has its hash
                self._record.data_hashes[dataset_name] = provenance.hash_file(path)
        self._record.loaded.add(dataset_name)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        """Note what was written."""
        self._record.saved.add(dataset_name)

    @hook_impl
    def after_pipeline_run(self, catalog: CatalogProtocol) -> None:
        """Close the manifest and say where results and report are."""
        self._update_manifest(catalog, "completed")
        if RESULTS in self._record.saved:
            logger.info("Results: %s", self._saved_file(RESULTS, catalog))
        if REPORT in self._record.saved:
            logger.info("Report: %s", self._saved_file(REPORT, catalog) / "index.html")

    @hook_impl
    def on_pipeline_error(self, error: Exception, catalog: CatalogProtocol) -> None:
        """Close the manifest of a failed run; that this fails too (a full disk) must not hide why the run failed."""
        try:
            self._update_manifest(catalog, "failed", error)
        except DatasetError as second:
            logger.warning("The manifest of the failed run could not be saved: %s", second)

    def _update_manifest(self, catalog: CatalogProtocol, status: str, error: Exception | None = None) -> None:
        """Write the manifest again in its place: a version is a run, and the catalog saves a version only once."""
        manifest = self._manifest | self._describe_progress(catalog, status, error)
        JSONDataset(filepath=str(self._saved_file(MANIFEST, catalog))).save(manifest)

    def _describe_progress(
        self, catalog: CatalogProtocol, status: str, error: Exception | None = None
    ) -> dict[str, Any]:
        record = self._record
        return {
            "status": status,
            "error": f"{type(error).__name__}: {error}" if error else None,
            "updated": provenance.now(),
            "load_versions": _versions(catalog, record.loaded, "resolve_load_version"),
            "save_versions": _versions(catalog, record.saved, "resolve_save_version"),
            "data_hashes": record.data_hashes,
            "node_seconds": record.node_seconds,
        }

    def _saved_file(self, name: str, catalog: CatalogProtocol) -> Path:
        """Where the catalog puts this run's version of a dataset: ``<file>/<version>/<file>``."""
        path = Path(self._conf_catalog[name]["filepath"])
        version = _versions(catalog, {name}, "resolve_save_version").get(name)
        return path / version / path.name if version else path


def _layer(entry: dict[str, Any]) -> str | None:
    return (entry.get("metadata") or {}).get("kedro-viz", {}).get("layer")


def _versions(catalog: CatalogProtocol, names: set[str], resolve: str) -> dict[str, str]:
    """Versions that versioned datasets were read or written with."""
    datasets = {name: catalog.get(name) for name in sorted(names)}
    found = {n: getattr(d, resolve)() for n, d in datasets.items() if isinstance(d, AbstractVersionedDataset)}
    return {name: version for name, version in found.items() if version is not None}
