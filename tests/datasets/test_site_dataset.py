from collections.abc import Iterator
from pathlib import Path

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from cultureclip.datasets.site_dataset import SiteDataset


class Files:
    def __init__(self, *files: tuple[str, bytes], fails: bool = False) -> None:
        self.content, self.fails = files, fails

    def files(self) -> Iterator[tuple[str, bytes]]:
        yield from self.content
        if self.fails:
            raise OSError(28, "No space left on device")


def page(text: str) -> Files:
    return Files(("index.html", text.encode()), ("static/style.css", b"p {}"))


def test_versions_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    path = str(tmp_path / "report")
    assert not SiteDataset(filepath=path, version=Version(None, None)).exists()
    for number in (1, 2):
        version = Version(None, f"2026-01-0{number}T00.00.00.000Z")
        SiteDataset(filepath=path, version=version).save(page(f"<p>é {number}"))
    newest = SiteDataset(filepath=path, version=Version(None, None))
    assert newest.exists()
    assert newest.load().read_text(encoding="utf-8") == "<p>é 2"
    assert (newest.load().parent / "static/style.css").is_file()
    first = SiteDataset(filepath=path, version=Version("2026-01-01T00.00.00.000Z", None))
    assert first.load().read_text(encoding="utf-8") == "<p>é 1"


def test_a_version_is_never_overwritten(tmp_path: Path) -> None:
    dataset = SiteDataset(filepath=str(tmp_path / "r"), version=Version(None, "2026-01-01T00.00.00.000Z"))
    dataset.save(page("one"))
    with pytest.raises(DatasetError):
        dataset.save(page("two"))


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    dataset = SiteDataset(filepath=str(tmp_path / "r"))
    with pytest.raises(DatasetError, match="No space left"):
        dataset.save(Files(("index.html", b"half"), fails=True))
    assert not dataset.exists()
    assert list(tmp_path.iterdir()) == []
