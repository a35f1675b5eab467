"""The notebook "Your cultures in an afternoon": run as a reader runs it, with the models that are installed."""

import csv
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
AFTERNOON = ROOT / "notebooks/afternoon"


def rows(name: str) -> list[dict[str, str]]:
    with (AFTERNOON / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the notebook has run."""
    folder = tmp_path_factory.mktemp("afternoon")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    for name in ("conf", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("local"))
    for name in ("src", "conf/local"):  # the package itself is installed
        (folder / name).mkdir()
    notebook = nbformat.read(folder / "notebooks/your-cultures.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "a notebook is committed without outputs"
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder / "notebooks")}}).execute()
    nbformat.write(notebook, folder / "executed.ipynb")
    return folder


def table(project: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(max((project / "data/afternoon").glob(f"*/{name}.parquet/*/{name}.parquet")))


def test_thirty_different_pictures_of_twelve_dishes_and_none_both_shown_and_asked():
    dishes, asked = rows("dishes.csv"), rows("test_photographs.csv")
    shown = {ROOT / row["reference_image"] for row in dishes}
    tested = {AFTERNOON / row["image"] for row in asked}
    assert (len(dishes), len(shown), len(tested), len(shown | tested)) == (12, 12, 18, 30)
    assert len({path.read_bytes() for path in shown | tested}) == 30
    assert {path.resolve() for path in shown | tested} == {p.resolve() for p in (AFTERNOON / "photographs").iterdir()}
    assert {row["label"] for row in asked} == {row["name"] for row in dishes}


def test_twins_of_different_cultures_become_rows_with_captions(project: Path):
    cultures = {row["name"]: set(row["cultures"].split(" | ")) for row in rows("dishes.csv")}
    twins = table(project, "twins").query("verdict == 'accepted'")
    assert len(twins) >= 4
    assert all(not cultures[a] & cultures[b] for a, b in zip(twins.a_name, twins.b_name, strict=True))
    trained = table(project, "cultwin")
    assert trained.twin_id.nunique() >= 4
    accepted = table(project, "captions").query("verdict == 'accepted'").text
    assert set(trained.pos_caption) | set(trained.neg_caption) <= set(accepted)


def test_the_tuned_model_names_more_of_the_eighteen_pictures(project: Path):
    scores = table(project, "scores").query("benchmark == 'my-photographs' and metric == 'top-5' and part == 'test'")
    found = {row.model: row.value for row in scores.itertuples() if pd.isna(row.reference) or row.reference == "base"}
    assert set(scores.n) == {18}
    assert found["cultureclip"] > found["base"]


def test_the_notebook_ends_with_a_report_pictures_and_a_model_that_answers(project: Path):
    assert (project / "data/afternoon/08_reporting/report/latest/index.html").is_file()
    cells = [cell for cell in nbformat.read(project / "executed.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert sum("image/jpeg" in output.get("data", {}) for cell in cells for output in cell.outputs) == 4
    *_, last = cells[-1].outputs
    assert all(column in last["data"]["text/plain"] for column in ("label", "answer", "right"))
