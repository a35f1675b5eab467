"""Preflight checks, versions that stay those of the run, and the run manifest."""

import logging
import os
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from cultureclip import provenance
from cultureclip.datasets.versions import WholeVersions
from cultureclip.pipeline_registry import register_pipelines
from cultureclip.preflight import (
    check_devices,
    check_inputs,
    check_parameters,
    check_roles,
    check_runner,
    check_working_directory,
    locate_models,
    read_stages,
    select_stages,
)
from cultureclip.run_manifest import MANIFEST, RunManifest, runs_in_progress
from cultureclip.session_config import SessionConfig, note_config, noted_config

logger = logging.getLogger(__name__)

REPORT, RESULTS = "report", "results"


class ProjectHooks:
    """One instance serves all runs of a process, also several at once: what it keeps, it keeps by run id."""

    def __init__(self) -> None:
        self._manifests: dict[str, RunManifest] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Stay offline unless told otherwise, and refuse parameters that nothing would read.

        The config is noted for the pipelines until they are built: that comes after this hook, and they read their
        shape from it.
        """
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ.setdefault(name, "1")
        parameters = context.config_loader["parameters"]
        note_config(SessionConfig(str(context.config_loader.conf_source), context.env, parameters))
        check_parameters(parameters, context.config_loader.runtime_params or {})

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Stop before any work when an input, a model or a device is missing or cannot be right.

        Otherwise the versions to load are fixed, and the run's manifest begins.
        """
        project, run_id = Path(run_params["project_path"]), run_params["run_id"]
        noted = noted_config()
        parameters = dict(noted.parameters) if noted else {}
        try:
            check_working_directory(project)
            check_runner(catalog)
            others = runs_in_progress(catalog)
            _pin_versions(pipeline, catalog, others)
            env, versions = run_params["env"], run_params["load_versions"]
            check_inputs(pipeline, catalog, register_pipelines(), {MANIFEST}, env, versions, others)
        finally:
            note_config(None)
        stages = read_stages(parameters)
        running = select_stages(pipeline, stages)
        models = locate_models(running)
        check_roles(pipeline, stages)
        check_devices(running)
        facts = {
            "pipelines": run_params["pipeline_names"] or ["__default__"],
            "env": run_params["env"],
            "process": os.getpid(),
            "git": provenance.describe_git(project),
            "machine": provenance.describe_machine(),
            "packages": provenance.list_packages(),
            "parameters": parameters,
            "seeds": provenance.find_seeds(parameters),
            "models": models,
        }
        manifest = RunManifest(run_id, facts, pipeline, catalog)
        manifest.begin()
        self._manifests[run_id] = manifest

    @hook_impl
    def before_node_run(self, node: Node, run_id: str) -> None:
        """Note what the node has read and start its clock."""
        self._manifests[run_id].start_node(node)

    @hook_impl
    def after_node_run(self, node: Node, run_id: str) -> None:
        """Stop the node's clock and bring the manifest up to date."""
        self._manifests[run_id].stop_node(node)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Close the manifest and say where results and report are."""
        manifest = self._manifests.pop(run_params["run_id"])
        manifest.end()
        saved = manifest.saved()
        if RESULTS in saved:
            logger.info("Results: %s", manifest.saved_path(RESULTS))
        if REPORT in saved:
            logger.info("Report: %s", manifest.saved_path(REPORT) / "index.html")

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any]) -> None:
        """Close the manifest of a failed run; that this fails too (a full disk) must not hide why the run failed."""
        try:
            self._manifests.pop(run_params["run_id"]).end(error)
        except DatasetError as second:
            logger.warning("The manifest of the failed run could not be saved: %s", second)


def _pin_versions(pipeline: Pipeline, catalog: CatalogProtocol, in_progress: dict[str, int]) -> None:
    """Fix which versions this run loads; those of a run in progress are not among them, since it may save more."""
    for name in sorted(pipeline.datasets() | {MANIFEST}):
        dataset = catalog.get(name) if name in catalog else None
        if isinstance(dataset, WholeVersions):
            dataset.pin(in_progress)
        elif isinstance(dataset, AbstractVersionedDataset) and dataset.resolve_save_version():
            logger.warning("%s: versions of %s may be half written; see docs/how-it-works.md", name, type(dataset))
