"""Versions: whole or not at all, the run's own or those that it found, damaged and future ones passed over by name."""

import errno
import json
import logging
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version, VersionNotFoundError, generate_timestamp, parse_dataset_definition

from cultureclip.datasets.folder_dataset import FolderDataset
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.datasets.text_dataset import TextDataset
from cultureclip.datasets.versions import VersionStorageError, WholeVersions
from cultureclip.errors import StorageError
from tests.support.killed_saves import NEW, OLD, POINTS, TYPES, make_samples

ROOT = Path(__file__).parents[2]
FUTURE = "2999-01-01T00.00.00.000Z"


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[type, Any]:
    return make_samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
def figures(tmp_path):
    def make(load: str | None = None, save: str | None = None) -> JSONDataset:
        return JSONDataset(filepath=str(tmp_path / "figures.json"), version=Version(load, save))

    return make


def build(samples, kind: type, folder: Path, save: str | None = None) -> Any:
    name, _, arguments = samples[kind]
    return kind(filepath=str(folder / name), version=Version(None, save), **arguments)


def content(dataset: Any) -> Path:
    """The file that a version is known by."""
    path = dataset.saved_path()
    inside = (path / name for name in ("index.html", "card.json", "header.json", "README.md"))
    return next((file for file in inside if file.exists()), path)


def test_every_versioned_entry_of_the_catalog_is_saved_whole():
    kinds = set()
    for file in ROOT.glob("conf/*/catalog*.yml"):
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if not name.startswith("_"):
                config = entry | {"filepath": str(entry.get("filepath")), "versioned": entry.get("versioned", False)}
                kind, left = parse_dataset_definition(config, None, None)
                if "version" in left:
                    assert issubclass(kind, WholeVersions), name
                    kinds.add(kind)
                elif issubclass(kind, AbstractVersionedDataset):
                    assert name in ("atlas", "human_ratings", "culture_related_questions") or name.endswith(
                        "_prompt"
                    ), f"{name}: saved without versions"
    assert kinds == set(TYPES), "killed_saves.py kills saves of another list of types"


def test_a_kill_at_any_point_of_any_save_leaves_the_old_version_or_the_whole_new_one(tmp_path):
    command = [sys.executable, "-m", "tests.support.killed_saves", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    stores = {row["type"]: row for row in rows if isinstance(row["loads next"], list)}
    versions = {(row["type"], row["point"]): row for row in rows if isinstance(row["loads next"], str)}
    assert set(versions) == {(kind.__name__, point) for kind in TYPES for point in POINTS}
    for (kind, point), row in versions.items():
        assert row["killed by"] == ("SIGXFSZ" if point == "during the write" else "SIGKILL"), (kind, point)
        assert row["loads next"] == ("new" if point == "after the rename" else "old"), (kind, point)
        assert row["after the next save"] == ["later", 0], (kind, point)
    assert {name: (row["killed by"], row["loads next"]) for name, row in stores.items()} == {
        "KeyedStore": ("SIGXFSZ", ["old"]),
        "ShardStore": ("SIGXFSZ", ["a0"]),
    }


@pytest.mark.parametrize(
    ("kind", "share"),
    # A page is not parsed: the folder of a site or of notes appears whole, and its entry has content.
    [
        (kind, share)
        for kind in TYPES
        for share in (0, 0.5, 0.97)
        if not (share and kind in (SiteDataset, FolderDataset))
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_version_that_is_cut_off_is_passed_over_and_named(tmp_path, samples, kind, share, caplog):
    for version in (OLD, NEW):
        build(samples, kind, tmp_path, version).save(samples[kind][1])
    cut = content(build(samples, kind, tmp_path, NEW))
    cut.write_bytes(cut.read_bytes()[: int(share * cut.stat().st_size)])
    assert build(samples, kind, tmp_path).resolve_load_version() == OLD
    (warning,) = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert NEW in warning and "remove it" in warning


def test_when_no_version_is_whole_all_are_named_and_none_exists(figures, caplog):
    for version in (OLD, NEW):
        figures(save=version).save([1])
        figures(save=version).saved_path().write_text("[1", encoding="utf-8")
    assert not figures().exists()
    assert sum("Damaged version" in record.getMessage() for record in caplog.records) == 2
    with pytest.raises(VersionNotFoundError, match=f"{NEW}.*{OLD}"):
        figures().load()
    with pytest.raises(DatasetError, match=f"{OLD}.*is damaged"):
        figures(load=OLD).inspect()


def test_a_version_dated_in_the_future_does_not_win_and_is_named(figures, caplog):
    figures(save=FUTURE).save("future")
    figures(save=OLD).save("old")
    with caplog.at_level(logging.WARNING):
        assert figures().load() == "old"
    (warning,) = [record.getMessage() for record in caplog.records]
    assert FUTURE in warning and "Set the clock right" in warning and f"{OLD} is loaded" in warning
    assert figures(load=FUTURE).load() == "future"
    assert figures().list_versions(full_path=False) == [OLD, FUTURE]


def test_the_only_version_is_loaded_with_a_warning_though_it_is_dated_in_the_future(figures, caplog):
    figures(save=FUTURE).save("future")
    assert figures().load() == "future"
    assert FUTURE in caplog.text


def test_versions_that_are_no_dates_are_in_the_order_of_their_names(figures, caplog):
    for version in ("v1", "v2", OLD):
        figures(save=version).save(version)
    assert figures().load() == "v2"
    assert caplog.text == ""


def test_what_this_run_saved_is_loaded_though_others_are_newer(figures):
    mine = figures(save=NEW)
    mine.save("mine")
    figures(save=generate_timestamp()).save("of a later run")
    figures(save=FUTURE).save("of the future")
    assert mine.load() == "mine"
    mine.release()
    assert mine.load() == "mine"
    assert figures(save=NEW).load() == "mine", "in another process of the same run"


def test_what_this_run_did_not_save_is_what_it_found_when_it_started(figures):
    figures(save=OLD).save("found")
    mine = figures(save=NEW)
    mine.pin()
    figures(save=generate_timestamp()).save("of a later run")
    mine.release()
    assert mine.load() == "found"
    mine.save("mine")
    assert mine.load() == "mine"
    asked = figures(load=OLD, save=NEW)
    asked.pin()
    assert asked.load() == "found", "a version that is asked for comes first"


def test_a_save_without_a_version_is_whole_too(tmp_path, monkeypatch):
    dataset = JSONDataset(filepath=str(tmp_path / "x.json"))
    dataset.save({"a": 1})
    with pytest.raises(DatasetError, match="not JSON serializable"):
        dataset.save({"a": [1] * 1000, "b": object()})
    assert dataset.load() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_a_disk_without_room_is_a_typed_error_with_a_remedy_and_leaves_nothing(tmp_path, samples, kind):
    build(samples, kind, tmp_path, OLD).save(samples[kind][1])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, before[1]))  # the system refuses longer files: errno EFBIG
    try:
        with pytest.raises(VersionStorageError) as caught:
            build(samples, kind, tmp_path, NEW).save(samples[kind][1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(caught.value, StorageError) and isinstance(caught.value, DatasetError)
    assert NEW in caught.value.item
    assert "cannot be written" in caught.value.cause and "File too large" in caught.value.cause
    assert "isk space" in caught.value.remedy
    assert build(samples, kind, tmp_path).resolve_load_version() == OLD
    assert [path.name for path in build(samples, kind, tmp_path, OLD).saved_path().parents[1].iterdir()] == [OLD]
    build(samples, kind, tmp_path, NEW).save(samples[kind][1])  # room was made
    assert build(samples, kind, tmp_path).resolve_load_version() == NEW


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free disk space"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "writable"),
        (errno.EROFS, "writable"),
        (errno.EIO, "Check the disk"),
    ],
)
def test_the_remedy_fits_the_cause(figures, monkeypatch, number, remedy):
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(VersionStorageError, match=f"{os.strerror(number)}.*{remedy}"):
        figures(save=NEW).save([1])


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(figures, tmp_path):
    (tmp_path / "figures.json").write_text("[1]", encoding="utf-8")  # a file where the folder of versions should be
    with pytest.raises(VersionStorageError, match=r"figures\.json is a file\)\. Move .*figures\.json elsewhere"):
        figures(save=NEW).save([1])


def test_a_disk_that_cannot_be_read_is_no_damage(figures, monkeypatch):
    figures(save=OLD).save([1])

    def fail(*_: object, **__: object) -> str:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", fail)
    with pytest.raises(VersionStorageError, match=r"Permission denied.*Check the disk"):
        figures().load()


def test_text_and_json_are_utf_8_with_line_feeds_in_any_locale(tmp_path):
    code = (
        "import sys; from kedro.io.core import Version\n"
        "from cultureclip.datasets.json_dataset import JSONDataset\n"
        "from cultureclip.datasets.text_dataset import TextDataset\n"
        "for kind, name in ((JSONDataset, 'x.json'), (TextDataset, 'x.md')):\n"
        "    dataset = kind(filepath=sys.argv[1] + name, version=Version(None, None), "
        "**({'save_args': {'ensure_ascii': False}} if kind is JSONDataset else {}))\n"
        "    dataset.save('caf\\u00e9 \\u7740\\u7269'); assert dataset.load().strip() == 'caf\\u00e9 \\u7740\\u7269'"
    )
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, f"{tmp_path}/"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (text,) = tmp_path.glob("x.md/*/x.md")
    assert text.read_bytes() == "café 着物\n".encode()


def test_a_text_that_cannot_be_encoded_leaves_no_version(tmp_path):
    dataset = TextDataset(filepath=str(tmp_path / "x.md"), version=Version(None, NEW))
    with pytest.raises(DatasetError, match="surrogates not allowed"):
        dataset.save("a" * 10_000 + "\udcff")
    assert not dataset.exists()
    assert list((tmp_path / "x.md").iterdir()) == []


def test_a_bucket_is_refused(tmp_path):
    dataset = JSONDataset(filepath="memory://bucket/x.json", version=Version(None, NEW))
    with pytest.raises(DatasetError, match="memory has no atomic rename"):
        dataset.pin()
    with pytest.raises(DatasetError, match="memory has no atomic rename"):
        dataset.save([1])
