from pathlib import Path

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from cultureclip.datasets.html_dataset import HTMLDataset


def test_versions_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "report.html")
    assert not HTMLDataset(filepath=path, version=Version(None, None)).exists()
    for number in (1, 2):
        HTMLDataset(filepath=path, version=Version(None, f"2026-01-0{number}T00.00.00.000Z")).save(f"<p>é {number}")
    assert HTMLDataset(filepath=path, version=Version(None, None)).load() == "<p>é 2"
    assert HTMLDataset(filepath=path, version=Version("2026-01-01T00.00.00.000Z", None)).load() == "<p>é 1"


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    dataset = HTMLDataset(filepath=str(tmp_path / "r.html"), version=Version(None, "2026-01-01T00.00.00.000Z"))
    dataset.save("one")
    with pytest.raises(DatasetError):
        dataset.save("two")


def test_a_failed_write_leaves_the_old_page_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = HTMLDataset(filepath=str(tmp_path / "r.html"))
    dataset.save("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DatasetError, match="No space left"):
        dataset.save("new")
    assert dataset.load() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_lone_surrogates_do_not_stop_the_report(tmp_path: Path) -> None:
    dataset = HTMLDataset(filepath=str(tmp_path / "r.html"))
    dataset.save("a\ud800b")
    assert dataset.load() == "a?b"
