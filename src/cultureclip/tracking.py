"""Runs in MLflow: parameters, metrics over steps, scores, and at the end report and checkpoints. Off by default.

``mlflow.yml`` in the configuration names the store. A store that cannot be reached stops the run before any work; one
that fails later costs a warning and never a training, since everything is on disk anyway.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from pydantic import Field, ValidationError, field_validator

from cultureclip.datasets.versions import WholeVersions
from cultureclip.errors import ConfigurationError
from cultureclip.provenance import walk
from cultureclip.settings_base import Settings

logger = logging.getLogger(__name__)

_LOG, _CHECKPOINT, _SCORES = "training_log_", "checkpoint_", "scores"
_FILES = ("report", "score_table", "run_manifest")
_FORBIDDEN = re.compile(r"[^/\w.\- ]")
_PARAMS_AT_ONCE, _METRICS_AT_ONCE, _LONGEST = 100, 1000, 6000
"""MLflow's limits."""


class TrackingSettings(Settings):
    """The contents of ``mlflow.yml``.

    Attributes:
        tracking_uri: ``file:<folder>`` or the address of a server; None: nothing is tracked.
        experiment: Name of the experiment that runs belong to.
    """

    tracking_uri: str | None = None
    experiment: str = Field(default="cultureclip", min_length=1)

    @field_validator("tracking_uri")
    @classmethod
    def _check_uri(cls, uri: str | None) -> str | None:
        if uri is not None and urlsplit(uri).scheme not in ("file", "http", "https"):
            raise ValueError("write file:<folder>, http:// or https://")
        if uri is not None and "@" in urlsplit(uri).netloc:
            raise ValueError("no user or password here: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")
        return uri


class _Session(NamedTuple):
    """What a session's config says."""

    settings: TrackingSettings
    parameters: Mapping[str, Any]


_session: ContextVar[_Session | None] = ContextVar("mlflow_session", default=None)


class _Tracked:
    """One run in the store, begun at its first node: what the checks before a run refuse leaves no trace.

    Args:
        client: MLflow's client of the store.
        experiment: Id of the experiment.
        name: Id of the Kedro run.
        parameters: Parameters of the stages that run.
    """

    def __init__(self, client: Any, experiment: str, name: str, parameters: Mapping[str, Any]) -> None:
        self.client, self._experiment, self._name, self._parameters = client, experiment, name, parameters
        self.id: str | None = None
        self._lock = Lock()  # a ThreadRunner begins several nodes at once

    def begin(self) -> None:
        """Make the run, once, with its parameters."""
        from mlflow.entities import Param

        with self._lock:
            if self.id is not None:
                return
            with _sending("the run"):
                self.id = self.client.create_run(self._experiment, run_name=self._name).info.run_id
        leaves = [(_key(path), str(value)) for path, value in walk(self._parameters)]
        for path in [path for path, value in leaves if len(value) > _LONGEST]:
            logger.warning("MLflow: %s is longer than %d characters and is cut", path, _LONGEST)
        for part in _parts([Param(path, value[:_LONGEST]) for path, value in leaves], _PARAMS_AT_ONCE):
            with _sending("parameters"):
                self.client.log_batch(self.id, params=part)

    def add_metrics(self, rows: Sequence[tuple[str, float, int]], item: str) -> None:
        """Add values of (name, value, step)."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for part in _parts([Metric(_key(name), value, now, step) for name, value, step in rows], _METRICS_AT_ONCE):
            with _sending(item):
                self.client.log_batch(self.id, metrics=part)

    def add_files(self, path: Path, place: str) -> None:
        """Add a file, or all files of a folder, below a place."""
        send = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        with _sending(str(path)):
            send(self.id, str(path), place)

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        if self.id is not None:
            with _sending("the end of the run"):
                self.client.set_terminated(self.id, status)


class TrackingHooks:
    """One instance serves all runs of a process: their state is kept by run id."""

    def __init__(self) -> None:
        self._runs: dict[str, _Tracked] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Read ``mlflow.yml``.

        Raises:
            ConfigurationError: if it says something else than :class:`TrackingSettings`.
        """
        _session.set(None)
        try:
            settings = TrackingSettings.model_validate(context.config_loader["mlflow"])
        except MissingConfigException:
            return
        except ValidationError as error:
            first = error.errors(include_input=False)[0]  # it may hold a password
            item = ".".join(["mlflow", *map(str, first["loc"])])
            raise ConfigurationError(item, first["msg"].removeprefix("Value error, "), "Correct mlflow.yml") from None
        if settings.tracking_uri is not None:
            _session.set(_Session(settings, context.config_loader["parameters"]))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline) -> None:
        """Reach the store before any work.

        Raises:
            ConfigurationError: if the extra is not installed, or the store does not answer.
        """
        session = _session.get()
        _session.set(None)
        if session is None:
            return
        client, experiment = _connect(session.settings)
        stages = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
        parameters = {stage: session.parameters.get(stage) for stage in sorted(stages)}
        self._runs[run_params["run_id"]] = _Tracked(client, experiment, run_params["run_id"], parameters)

    @hook_impl
    def before_node_run(self, run_id: str) -> None:
        """Make the run in the store at the first node."""
        if run := self._runs.get(run_id):
            run.begin()

    @hook_impl
    def after_node_run(self, node: Node, outputs: Mapping[str, Any], run_id: str) -> None:  # noqa: ARG002 - Kedro's
        """Send what a node brought: the log of a training by step, the table of scores."""
        run = self._runs.get(run_id)
        if run is None:
            return
        for name, data in outputs.items():
            last = name.rpartition(".")[2]
            if last.startswith(_LOG):
                run.add_metrics(_log_metrics(last.removeprefix(_LOG), data), name)
            elif last == _SCORES:
                run.add_metrics(_score_metrics(data), name)

    @hook_impl(trylast=True)
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Send files and close the run, after its manifest was closed."""
        self._end(run_params["run_id"], pipeline, catalog, "FINISHED")

    @hook_impl(trylast=True)
    def on_pipeline_error(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Send the files that a failed run has saved, and close it."""
        self._end(run_params["run_id"], pipeline, catalog, "FAILED")

    def interrupt(self, signal: KeyboardInterrupt) -> None:  # noqa: ARG002 - as all hooks of this project
        """Close the runs that the user stops: Kedro calls no hook then."""
        while self._runs:
            self._runs.popitem()[1].end("KILLED")

    def _end(self, run_id: str, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], status: str) -> None:
        run = self._runs.pop(run_id, None)
        if run is None or run.id is None:
            return
        for name in sorted(pipeline.all_outputs() | {"run_manifest"}):
            dataset = catalog.get(name)
            if isinstance(dataset, WholeVersions) and dataset.is_saved():
                _send_files(run, name.rpartition(".")[2], dataset.saved_path())
        run.end(status)
        logger.info("MLflow: run %s", run.id)


def _send_files(run: _Tracked, name: str, path: Path) -> None:
    """Send what people look at; of a checkpoint the update and its card, for the merged model is base plus update."""
    if name in _FILES:
        run.add_files(path, name)
    elif name.startswith(_CHECKPOINT):
        for file in sorted(file for file in path.iterdir() if file.is_file()):
            run.add_files(file, name)


def _connect(settings: TrackingSettings) -> tuple[Any, str]:
    """Return a client and the id of the experiment, which is made if it is not there."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its seven take four minutes
    if str(settings.tracking_uri).startswith("file:"):
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        cause, remedy = f"mlflow cannot be imported ({error})", "pip install cultureclip[mlflow]"
        raise ConfigurationError("mlflow.tracking_uri", cause, remedy) from error
    try:
        client = MlflowClient(tracking_uri=settings.tracking_uri)
        found = client.get_experiment_by_name(settings.experiment)
        return client, found.experiment_id if found else client.create_experiment(settings.experiment)
    except (MlflowException, OSError) as error:
        cause = f"{settings.tracking_uri} does not answer ({' '.join(str(error).split())[:300]})"
        raise ConfigurationError("mlflow.tracking_uri", cause, "Start the server, or set it to null") from None


@contextmanager
def _sending(item: str) -> Iterator[None]:
    """Warn when the store does not take something: the run goes on."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        logger.warning("MLflow did not take %s: %s", item, " ".join(str(error).split())[:300])


def _log_metrics(training: str, log: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, int]]:
    return [
        (f"{training}/{name}", float(value), row["step"])
        for row in log
        for name, value in row.items()
        if name != "step" and isinstance(value, int | float)
    ]


def _score_metrics(scores: Any) -> list[tuple[str, float, int]]:
    """Return values and interval ends on test questions; a model has a row per reference, all with the same value."""
    test = scores[scores["part"] == "test"].drop_duplicates(["benchmark", "metric", "model"])
    ends = {"value": "value", "ci_low": "low", "ci_high": "high"}  # a file store makes a file of each name
    return [
        (f"{row['benchmark']}/{row['metric']}/{row['model']}/{end}", float(row[column]), 0)
        for row in test.to_dict("records")
        for column, end in ends.items()
        if row[column] == row[column]  # NaN: no interval
    ]


def _key(name: str) -> str:
    """Write a name with the characters that MLflow takes."""
    return _FORBIDDEN.sub("_", name)


def _parts(rows: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])
