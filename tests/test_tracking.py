"""Runs arrive in a local MLflow store, and a store that fails costs no run."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from cultureclip.datasets.folder_dataset import FolderDataset
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.errors import ConfigurationError
from cultureclip.session_config import LOADER_ARGS
from cultureclip.tracking import TrackingHooks, _score_metrics
from tests.support.report_data import MODELS, score

RUN = "2026-11-28T12.00.00.000Z"
LOG = [{"step": 0, "dev_loss": 2.0, "train_rows": 8}, {"step": 25, "loss": 1.5, "dev_loss": 1.25}]


class Folder:
    """What a checkpoint is on disk."""

    def write(self, folder: Path) -> None:
        (folder / "merged").mkdir(parents=True)
        (folder / "card.json").write_text("{}")
        (folder / "adapter.safetensors").write_bytes(b"1")
        (folder / "merged/open_clip_model.safetensors").write_bytes(b"base and update")


class Page:
    def files(self):
        yield "index.html", b"<html>"
        yield "pages/scores.html", b"<p>"


class Session:
    """A Kedro session's calls of the hooks around a run, with a real runner, catalog and config."""

    def __init__(self, folder: Path, mlflow: str) -> None:
        self.folder, self.hooks = folder, TrackingHooks()
        (folder / "conf/base").mkdir(parents=True)
        (folder / "conf/local").mkdir()
        (folder / "conf/base/mlflow.yml").write_text(mlflow)
        train = {"train": {"seeds": [1], "trainer": {"lr": 0.5}, "note": "x" * 7000}, "mining": {"seed": 3}}
        (folder / "conf/base/parameters.yml").write_text(json.dumps(train))
        self.manager = _create_hook_manager()
        self.manager.register(self.hooks)

    def catalog(self) -> DataCatalog:
        version = Version(None, RUN)

        def place(name: str) -> dict[str, object]:
            return {"filepath": str(self.folder / name), "version": version}

        return DataCatalog(
            {
                "params:train": MemoryDataset({}),
                "training_log_cultureclip_s1": JSONDataset(**place("log.json")),
                "checkpoint_cultureclip_s1": FolderDataset(**place("checkpoint"), entry="card.json"),
                "scores": MemoryDataset(),
                "report": SiteDataset(**place("report")),
                "run_manifest": JSONDataset(**place("run_manifest.json")),
            }
        )

    def run(self, fails: bool = False) -> None:
        def report(_: object) -> Page:
            if fails:
                raise RuntimeError("no report")
            return Page()

        def train(_: object) -> tuple[list[dict[str, float]], Folder]:
            return LOG, Folder()

        pipeline = Pipeline(
            [
                Node(train, "params:train", ["training_log_cultureclip_s1", "checkpoint_cultureclip_s1"], name="train"),
                Node(lambda _: score(MODELS)["scores"], "training_log_cultureclip_s1", "scores", name="score"),
                Node(report, "scores", "report", name="report"),
            ]
        )
        loader = OmegaConfigLoader(str(self.folder / "conf"), **LOADER_ARGS)
        catalog, hook, of = self.catalog(), self.manager.hook, {"run_params": {"run_id": RUN}, "pipeline": pipeline}
        hook.after_context_created(context=SimpleNamespace(config_loader=loader))
        hook.before_pipeline_run(**of, catalog=catalog)
        catalog.save("run_manifest", {"run_id": RUN})
        try:
            SequentialRunner().run(pipeline, catalog, self.manager, run_id=RUN)
        except RuntimeError as error:
            hook.on_pipeline_error(**of, catalog=catalog, error=error)
            raise
        hook.after_pipeline_run(**of, catalog=catalog, run_result={})


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("MLFLOW_ALLOW_FILE_STORE", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path, f"tracking_uri: {(tmp_path / 'mlruns').as_uri()}\nexperiment: cultures\n")


def read_store(tmp_path: Path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name("cultures")
    return client, client.search_runs([experiment.experiment_id])


def test_parameters_metrics_scores_report_and_checkpoint_arrive(session, tmp_path, caplog):
    session.run()
    client, (run,) = read_store(tmp_path)
    assert (run.info.run_name, run.info.status) == (RUN, "FINISHED")
    assert run.data.params["train.trainer.lr"] == "0.5" and run.data.params["train.seeds"] == "[1]"
    assert not any(name.startswith("mining") for name in run.data.params)
    assert len(run.data.params["train.note"]) == 6000 and "train.note is longer" in caplog.text
    history = client.get_metric_history(run.info.run_id, "cultureclip_s1/dev_loss")
    assert [(point.step, point.value) for point in history] == [(0, 2.0), (25, 1.25)]
    scores = score(MODELS)["scores"]
    for row in scores[scores["part"] == "test"].to_dict("records"):
        name = re.sub("[@,]", "_", f"{row['benchmark']}/{row['metric']}/{row['model']}")
        found = [run.data.metrics[f"{name}/{end}"] for end in ("value", "low", "high")]
        assert found == [row["value"], row["ci_low"], row["ci_high"]]
    assert {file.path for file in client.list_artifacts(run.info.run_id, "checkpoint_cultureclip_s1")} == {
        "checkpoint_cultureclip_s1/adapter.safetensors",
        "checkpoint_cultureclip_s1/card.json",
    }
    report = Path(client.download_artifacts(run.info.run_id, "report"))
    assert len(list(report.rglob("*.html"))) == 2
    assert [file.path for file in client.list_artifacts(run.info.run_id, "run_manifest")] != []


def test_a_failed_run_is_told_with_what_it_saved(session, tmp_path):
    with pytest.raises(RuntimeError, match="no report"):
        session.run(fails=True)
    client, (run,) = read_store(tmp_path)
    assert run.info.status == "FAILED"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {
        "checkpoint_cultureclip_s1",
        "run_manifest",
    }


def test_a_store_that_fails_half_way_costs_a_warning_and_no_result(session, tmp_path, monkeypatch, caplog):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_: object, **__: object) -> None:
        raise MlflowException("the disk of the store is full")

    monkeypatch.setattr(MlflowClient, "log_batch", refuse)
    monkeypatch.setattr(MlflowClient, "log_artifacts", refuse)
    session.run()
    assert (tmp_path / "report" / RUN / "report/index.html").is_file()
    assert "MLflow did not take scores: the disk of the store is full" in caplog.text
    assert read_store(tmp_path)[1][0].info.status == "FINISHED"


def test_it_is_off_by_default_and_mlflow_is_not_even_imported(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    session = Session(tmp_path, (Path(__file__).parents[1] / "conf/base/mlflow.yml").read_text())
    session.run()
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("mlflow", "said"),
    [
        ("tracking_uri: http://127.0.0.1:9\n", "does not answer"),
        ("tracking_uri: http://me:hidden@127.0.0.1:9\n", "MLFLOW_TRACKING_PASSWORD"),
        ("tracking_uri: mlruns\n", "write file:<folder>"),
        ("tracking_url: file:mlruns\n", "mlflow.tracking_url: Extra inputs"),
    ],
)
def test_wrong_settings_stop_before_any_work(tmp_path, mlflow, said):
    session = Session(tmp_path, mlflow)
    with pytest.raises(ConfigurationError) as error:
        session.run()
    assert said in str(error.value) and "hidden" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf"]


def test_without_the_extra_the_run_does_not_begin(session, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigurationError, match=r"cultureclip\[mlflow\]"):
        session.run()


def test_a_run_that_the_user_stops_is_closed(session, tmp_path, monkeypatch):
    monkeypatch.setattr(SequentialRunner, "run", stop_after_begin(session))
    with pytest.raises(KeyboardInterrupt):
        session.run()
    session.hooks.interrupt(KeyboardInterrupt())
    assert read_store(tmp_path)[1][0].info.status == "KILLED"


def stop_after_begin(session: Session):
    def run(*_: object, **__: object) -> None:
        session.hooks.before_node_run(run_id=RUN)
        raise KeyboardInterrupt

    return run


def test_scores_without_intervals_are_sent_without_them():
    row = {"benchmark": "b", "metric": "m", "part": "test", "model": "base", "value": 0.5}
    table = pd.DataFrame([row | {"ci_low": float("nan"), "ci_high": float("nan")}])
    assert _score_metrics(table) == [("b/m/base/value", 0.5, 0)]
