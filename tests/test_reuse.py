"""A stage is taken from an earlier run only if nothing that decides its results has changed: one fault at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.io.core import Version
from kedro.pipeline import Node, Pipeline
from kedro_datasets.text import TextDataset

from cultureclip import reuse
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.datasets.keyed_store_dataset import KeyedStoreDataset
from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.datasets.table_dataset import TableDataset
from cultureclip.engine.settings import EngineSettings
from cultureclip.models.settings import ModelPath
from cultureclip.runner import ReusingRunner, split_stages
from cultureclip.settings_base import Settings

RUNS = [f"2026-01-0{day}T00.00.00.000Z" for day in range(1, 6)]


class Toy(Settings):
    """Parameters of a stage."""

    factor: int = 1
    file: str = ""
    model: ModelPath
    work_dir: str = ""


class Plugins:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.reused: dict[str, dict[str, str]] = {}

    def get_plugins(self) -> list[Any]:
        return [self]

    def note_reused(self, run_id: str, stage: str, nodes: Any, earlier: str) -> None:
        self.reused.setdefault(run_id, {})[stage] = earlier

    @property
    def hook(self) -> "Plugins":
        return self

    def __getattr__(self, name: str) -> Callable[..., list[Any]]:
        return lambda **_: []


class Project:
    """A project of two stages: mining makes a table of a file, captioning a site of the table."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.plugins, self.calls = folder, Plugins(), []
        self.engine, self.picture = EngineSettings(), "emoji:a"
        for name, text in (("atlas.csv", "a\nb\n"), ("titles.csv", "x"), ("model/w.safetensors", "w")):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        self.mining = Toy(file=str(folder / "titles.csv"), model=ModelPath(folder / "model"))
        self.captioning = Toy(model=ModelPath(folder / "model"), work_dir=str(folder))

    def catalog(self, run: str) -> DataCatalog:
        version = Version(None, run)
        catalog = DataCatalog(
            {
                "atlas": TextDataset(filepath=str(self.folder / "atlas.csv")),
                "store": KeyedStoreDataset(filepath=str(self.folder / "answers.sqlite")),
                "concepts": TableDataset(filepath=str(self.folder / "data/1/concepts.parquet"), version=version),
                "report": SiteDataset(filepath=str(self.folder / "data/8/report"), version=version, has_latest=True),
                "run_manifest": JSONDataset(filepath=str(self.folder / "data/8/run_manifest.json"), version=version),
                "params:engine": MemoryDataset(self.engine, copy_mode="assign"),
                "params:mining": MemoryDataset(self.mining, copy_mode="assign"),
                "params:captioning": MemoryDataset(self.captioning, copy_mode="assign"),
            }
        )
        for name in ("concepts", "report"):
            catalog[name].pin()
        return catalog

    def pipeline(self, handed_on: str = "concepts") -> Pipeline:
        def mine(atlas: str, store: Any, engine: Any, parameters: Toy) -> pd.DataFrame:
            self.calls.append("mining")
            names = atlas.split()
            return pd.DataFrame({"name": names, "reference_image": self.picture, "factor": parameters.factor})

        def caption(concepts: pd.DataFrame, parameters: Toy) -> Any:
            self.calls.append("captioning")
            return Page(",".join(concepts["name"]) + str(parameters.factor))

        inputs = ["atlas", "store", "params:engine", "params:mining"]
        return Pipeline(
            [
                Node(mine, inputs, handed_on, name="mine", namespace="mining"),
                Node(caption, [handed_on, "params:captioning"], "report", name="write", namespace="captioning"),
            ]
        )

    def run(self, number: int, pipeline: Pipeline | None = None) -> list[str]:
        """Run, and return the stages that were not taken from an earlier run."""
        self.calls.clear()
        chosen = pipeline or self.pipeline()
        ReusingRunner().run(chosen, self.catalog(RUNS[number]), self.plugins, RUNS[number])  # type: ignore[arg-type]
        return list(self.calls)

    def page(self, number: int) -> str:
        return (self.folder / f"data/8/report/{RUNS[number]}/report/index.html").read_text()


class Page:
    """A site of one page."""

    def __init__(self, text: str) -> None:
        self.text = text

    def files(self) -> Any:
        yield "index.html", self.text.encode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    assert made.run(0) == ["mining", "captioning"]
    return made


def test_a_run_with_nothing_changed_runs_nothing_and_has_versions_of_its_own(project: Project):
    assert project.run(1) == []
    assert project.plugins.reused == {RUNS[1]: {"mining": RUNS[0], "captioning": RUNS[0]}}
    assert project.page(1) == project.page(0) == "a,b1"
    tables = [pd.read_parquet(project.folder / f"data/1/concepts.parquet/{run}/concepts.parquet") for run in RUNS[:2]]
    pd.testing.assert_frame_equal(*tables)
    assert RUNS[1] in (project.folder / "data/8/report/latest/index.html").read_text()
    assert project.run(2) == []  # what was taken over can be taken over
    assert project.page(2) == "a,b1"


def add_a_row(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / "atlas.csv").write_text("a\nb\nc\n")


def change_a_setting(project: Project, _: pytest.MonkeyPatch) -> None:
    project.mining = project.mining.model_copy(update={"factor": 2})


def change_a_named_file(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / "titles.csv").write_text("y")


def change_a_model(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / "model/w.safetensors").write_text("v")


def change_the_code(project: Project, patch: pytest.MonkeyPatch) -> None:
    (project.folder / "code").mkdir()
    (project.folder / "code/cells.py").write_text("x = 1")
    patch.setattr(reuse, "_PACKAGE", project.folder / "code")


def update_a_package(project: Project, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reuse, "list_packages", lambda: {"torch": "99"})


def name_a_folder(project: Project, _: pytest.MonkeyPatch) -> None:
    project.mining = project.mining.model_copy(update={"file": str(project.folder)})


def remove_the_table(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / f"data/1/concepts.parquet/{RUNS[0]}/concepts.parquet").unlink()


def damage_the_table(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / f"data/1/concepts.parquet/{RUNS[0]}/concepts.parquet").write_bytes(b"PAR1")


def switch_it_off(project: Project, _: pytest.MonkeyPatch) -> None:
    project.engine = EngineSettings(reuse=False)


def damage_the_notes(project: Project, _: pytest.MonkeyPatch) -> None:
    (project.folder / "data/8/stages.json").write_text('{"stages": {"mining": {')


@pytest.mark.parametrize(
    ("change", "run_again"),
    [
        (add_a_row, ["mining", "captioning"]),
        (change_a_setting, ["mining", "captioning"]),
        (change_a_named_file, ["mining"]),  # and makes the same table, so that captioning need not run
        (change_a_model, ["mining", "captioning"]),
        (change_the_code, ["mining", "captioning"]),
        (update_a_package, ["mining", "captioning"]),
        (name_a_folder, ["mining"]),
        (remove_the_table, ["mining"]),
        (damage_the_table, ["mining"]),
        (switch_it_off, ["mining", "captioning"]),
        (damage_the_notes, ["mining", "captioning"]),
    ],
)
def test_whatever_decides_a_stage_runs_it_again(project, monkeypatch, change, run_again):
    change(project, monkeypatch)
    reuse._digest_code.cache_clear()
    try:
        assert project.run(1) == run_again
    finally:
        monkeypatch.undo()
        reuse._digest_code.cache_clear()


def test_what_decides_nothing_runs_nothing(project: Project):
    """Answers that were kept, settings of the engine, and a folder of what is kept under keys of its own."""
    project.catalog(RUNS[0])["store"].load().put({"a": 1})
    project.engine = EngineSettings(silent_s=5)
    (project.folder / "more").write_text("in the work_dir")
    assert project.run(1) == []


def test_after_a_change_back_the_newest_results_are_not_taken_for_the_old(project: Project):
    change_a_setting(project, pytest.MonkeyPatch())
    assert project.run(1) == ["mining", "captioning"]
    project.mining = project.mining.model_copy(update={"factor": 1})
    assert project.run(2) == ["mining", "captioning"]
    assert project.run(3) == []


def test_a_stage_that_hands_something_on_in_memory_always_runs(tmp_path: Path):
    project = Project(tmp_path)
    in_memory = project.pipeline(handed_on="mining.table")
    for number in (0, 1):
        assert "mining" in project.run(number, in_memory)


def test_a_project_with_pictures_in_files_always_runs(tmp_path: Path):
    """The key does not hold them."""
    project = Project(tmp_path)
    project.picture = "pictures/a.png"
    for number in (0, 1):
        assert "mining" in project.run(number)


def test_stages_come_in_the_order_of_the_data_and_a_circle_is_one(project: Project):
    assert [stage for stage, _ in split_stages(project.pipeline())] == ["mining", "captioning"]
    there_and_back = Pipeline(
        [
            Node(len, "a", "b", name="one", namespace="x"),
            Node(len, "b", "c", name="two", namespace="y"),
            Node(len, "c", "d", name="three", namespace="x"),
        ]
    )
    ((stage, whole),) = split_stages(there_and_back)
    assert (stage, len(whole.nodes)) == ("", 3)
