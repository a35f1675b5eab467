import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.engine import atomic


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


DAYS = [f"2026-01-{day:02}T00.00.00.000Z" for day in range(1, 9)]


def site(folder: Path, save: str | None = None) -> SiteDataset:
    return SiteDataset(filepath=str(folder / "a site & more"), version=Version(None, save), has_latest=True)


def follow(folder: Path) -> str:
    """The text of the page that the stable entry leads to, as a browser follows it: relative, unquoted."""
    page = folder / "a site & more/latest/index.html"
    (url,) = set(re.findall(r"(?:url=|href=\")([^\"]+)", page.read_text(encoding="utf-8")))
    return (page.parent / unquote(url)).resolve(strict=True).read_text(encoding="utf-8")


@pytest.mark.parametrize("seed", range(5))
def test_latest_opens_the_newest_whole_version_in_whatever_order_they_are_saved(tmp_path: Path, seed: int) -> None:
    order = random.Random(seed).sample(DAYS, len(DAYS))
    for number, day in enumerate(order):
        site(tmp_path, day).save(page(day))
        assert follow(tmp_path) == max(order[: number + 1])
    dataset = site(tmp_path)
    assert dataset.load().read_text() == DAYS[-1]
    assert dataset.resolve_load_version() == DAYS[-1]
    (tmp_path / "a site & more/latest/index.html").unlink()
    site(tmp_path, "2026-02-01T00.00.00.000Z").save(page("again"))
    assert follow(tmp_path) == "again"


def test_latest_alone_is_not_a_version(tmp_path: Path) -> None:
    site(tmp_path, DAYS[0]).save(page("one"))
    shutil.rmtree(tmp_path / "a site & more" / DAYS[0])
    assert not site(tmp_path).exists()
    with pytest.raises(DatasetError, match="No whole version"):
        site(tmp_path).load()


@pytest.mark.parametrize("fails", ["in a file", "at the rename", "at the entry"])
def test_an_interrupted_site_never_becomes_latest(tmp_path: Path, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site(tmp_path, DAYS[0]).save(page("one"))
    files = Files(("index.html", b"half"), fails=fails == "in a file")
    flush = atomic._flush_all
    place = DAYS[1] if fails == "at the rename" else "index.html"

    def fail(path: Path) -> None:
        if place in path.name:
            raise OSError(28, "No space left on device")
        flush(path)

    if fails != "in a file":
        monkeypatch.setattr(atomic, "_flush_all", fail)
    with pytest.raises(DatasetError, match="No space left"):
        site(tmp_path, DAYS[1]).save(files)
    assert follow(tmp_path) == "one"  # where the entry failed, the second is whole and opened by its own path
    assert site(tmp_path).load().read_text() == ("half" if fails == "at the entry" else "one")
    monkeypatch.undo()
    site(tmp_path, DAYS[2]).save(page("three"))
    assert follow(tmp_path) == "three"


def test_a_damaged_newest_version_is_passed_over(tmp_path: Path) -> None:
    site(tmp_path, DAYS[5]).save(page("five"))
    (tmp_path / "a site & more" / DAYS[5] / "a site & more/index.html").write_text("")
    site(tmp_path, DAYS[1]).save(page("one"))
    assert follow(tmp_path) == "one"


def test_versions_of_runs_in_progress_count_once_they_are_whole(tmp_path: Path) -> None:
    site(tmp_path, DAYS[3]).save(page("three"))
    earlier = site(tmp_path, DAYS[1])
    earlier.pin({DAYS[3]})
    earlier.save(page("one"))
    assert follow(tmp_path) == "three"


def test_another_run_that_saves_meanwhile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is written again when a newer version appears while it is written."""
    flush, others = atomic._flush_all, iter([DAYS[5]])

    def save_another(path: Path) -> None:
        flush(path)
        if path.name.startswith(".index.html") and (day := next(others, None)):
            SiteDataset(filepath=str(tmp_path / "a site & more"), version=Version(None, day)).save(page("another"))

    monkeypatch.setattr(atomic, "_flush_all", save_another)
    site(tmp_path, DAYS[1]).save(page("one"))
    assert follow(tmp_path) == "another"


def test_without_versions_there_is_no_latest(tmp_path: Path) -> None:
    SiteDataset(filepath=str(tmp_path / "site"), has_latest=True).save(page("one"))
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["index.html", "static"]
