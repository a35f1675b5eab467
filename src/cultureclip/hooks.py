"""Preflight checks, versions that stay those of the run, and the run manifest."""

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, CatalogProtocol, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from cultureclip import provenance
from cultureclip.datasets.versions import WholeVersions
from cultureclip.pipeline_registry import COMBINED, register_pipelines
from cultureclip.run_log import LogFile, StageLines
from cultureclip.run_manifest import MANIFEST, RunManifest, read_audits, runs_begun, runs_in_progress
from cultureclip.session_config import SessionConfig, note_config, noted_config

logger = logging.getLogger(__name__)

REPORT, RESULTS, SCORE_TABLE = "report", "results", "score_table"
DATA = COMBINED["data"]
"""Stages that make the training data: the chat models that they ask are its teachers."""
PREVIEW = "_preview"
"""Ending of the names of previews' pages."""


class _Run(NamedTuple):
    """The state of one run."""

    manifest: RunManifest
    stages: StageLines
    log: LogFile


class ProjectHooks:
    """One instance serves all runs of a process, also several at once: their state is kept by run id."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Stay offline and hide the libraries' progress bars by default.

        The config is noted for the pipelines until they are built: that comes after this hook, and they read their
        shape from it.
        """
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
        parameters = context.config_loader["parameters"]
        note_config(SessionConfig(str(context.config_loader.conf_source), context.env, parameters))

    @hook_impl
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Stop before any work when a parameter, an input, a model or a device is missing or cannot be right.

        Otherwise the versions to load are fixed, and the run's manifest begins. A run that reads the survey lists what
        is wrong instead of stopping at it.
        """
        from cultureclip import preflight
        from cultureclip.audit.record import find_teachers, match_audits
        from cultureclip.models.named import locate_models
        from cultureclip.survey import SURVEY, make_survey  # hooks are loaded to list pipelines, too

        project, run_id = Path(run_params["project_path"]), run_params["run_id"]
        noted = noted_config()
        parameters = dict(noted.parameters) if noted else {}
        try:
            preflight.check_working_directory(project)
            preflight.check_runner(catalog)
            others = _pin_versions(pipeline, catalog)
            env, runtime = run_params["env"], run_params["runtime_params"] or {}
            if surveys := SURVEY in pipeline.inputs():
                catalog.save(SURVEY, make_survey(env, parameters, runtime, catalog, register_pipelines()))
            else:
                preflight.check_parameters(parameters, runtime)
            versions = run_params["load_versions"]
            preflight.check_inputs(pipeline, catalog, register_pipelines(), {MANIFEST}, env, versions, others)
        finally:
            note_config(None)
        stages = preflight.read_stages(parameters)
        running = preflight.select_stages(pipeline, stages)
        models = locate_models(running)
        if not surveys:
            preflight.check_roles(pipeline, stages)
        preflight.check_devices(running)
        audits = read_audits(catalog)
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
            "teachers": match_audits(find_teachers({name: stages[name] for name in DATA if name in stages}), audits),
        }
        manifest = RunManifest(run_id, facts, pipeline, catalog)
        manifest.begin()
        log = LogFile(manifest.log_path(), run_id)
        self._runs[run_id] = _Run(manifest, StageLines(pipeline), log)

    @hook_impl
    def before_node_run(self, node: Node, inputs: Mapping[str, Any], run_id: str) -> None:
        """Note what the node has read and start its clock."""
        run = self._runs[run_id]
        run.manifest.start_node(node)
        run.stages.start_node(node, inputs)

    @hook_impl
    def after_node_run(self, node: Node, outputs: Mapping[str, Any], run_id: str) -> None:
        """Stop the node's clock, bring the manifest up to date, and print the line of a stage that has ended."""
        run = self._runs[run_id]
        seconds = run.manifest.stop_node(node)
        if line := run.stages.stop_node(node, outputs, seconds):
            logger.info("%s", line)

    def note_reused(self, run_id: str, stage: str, nodes: Iterable[Node], earlier: str) -> None:
        """Record that a stage was taken from an earlier run; called by the runner, for Kedro has no such hook."""
        self._runs[run_id].manifest.note_reused(stage, nodes, earlier)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Close the manifest; print the score table and where results, log and report are, the report last."""
        run = self._runs.pop(run_params["run_id"])
        run.manifest.end()
        saved = {name.rpartition(".")[2]: name for name in run.manifest.saved()}  # measure's have its name before a dot
        if table := saved.get(SCORE_TABLE):
            logger.info("\n%s", run.manifest.saved_path(table).read_text(encoding="utf-8"))
        if results := saved.get(RESULTS):
            logger.info("Results: %s", run.manifest.saved_path(results))
        if run.log.is_open:
            logger.info("Log: %s", run.log.path)
        if report := saved.get(REPORT):
            logger.info("Report: %s", run.manifest.saved_path(report) / "index.html")
        run.log.close()

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any]) -> None:
        """Close manifest and log of a failed run; that this fails too (a full disk) must not hide the first error."""
        self._end(self._runs.pop(run_params["run_id"]), error)

    def interrupt(self, signal: KeyboardInterrupt) -> None:
        """Close manifests and logs of the runs that the user stops: Kedro calls no hook then."""
        while self._runs:
            self._end(self._runs.popitem()[1], signal)

    def _end(self, run: _Run, error: BaseException) -> None:
        try:
            run.manifest.end(error)
        except DatasetError as second:
            logger.warning("The manifest of the failed run could not be saved: %s", second)
        if run.log.is_open:
            error.add_note(f"log: {run.log.path}")
        run.log.close(error)


def _pin_versions(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> dict[str, int]:
    """Fix which versions this run loads: the newest of the runs that had ended when it started.

    Imports make this take seconds on a busy machine. Versions of a run that begins meanwhile do not count either.

    Returns:
        Ids of the runs that were in progress, each with its process id.
    """
    begun = runs_begun(catalog)  # first: a run that ends between the two lines has saved all of its tables
    others = runs_in_progress(catalog)
    hidden = set(others)
    while True:
        for name in sorted(pipeline.datasets() | {MANIFEST}):
            dataset = catalog.get(name) if name in catalog else None
            if isinstance(dataset, WholeVersions):
                dataset.pin(hidden)
            elif isinstance(dataset, AbstractVersionedDataset) and dataset.resolve_save_version():
                logger.warning("%s: versions of %s may be half written; see docs/how-it-works.md", name, type(dataset))
        if not (meanwhile := runs_begun(catalog) - begun - hidden):
            return others
        hidden |= meanwhile
