"""Fetching, against files of this machine and a hub that is played: the real one cannot be reached from a test."""

import hashlib
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader

from cultureclip.benchmarks.downloads.fetch import fetch_benchmark
from cultureclip.benchmarks.downloads.origins import INCOMPLETE, RECORD, HubOrigin, ManualOrigin, UrlFile, UrlOrigin
from cultureclip.errors import ConfigurationError, DownloadError
from cultureclip.pipelines.fetch_benchmarks.nodes import fetch_benchmarks
from cultureclip.pipelines.fetch_benchmarks.parameters import FetchBenchmarksParameters

ROOT = Path(__file__).parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The calls that reach the hub's client; a snapshot is one file."""
    calls: list[dict[str, Any]] = []

    def snapshot_download(repo: str, *, local_dir: Path, **arguments: Any) -> str:
        calls.append({"repo": repo, **arguments})
        (local_dir / "data").mkdir()
        (local_dir / "data/test-0.parquet").write_bytes(b"rows")
        return str(local_dir)

    class Api:
        def dataset_info(self, repo: str, revision: str) -> SimpleNamespace:
            assert (repo, revision) == ("own/er", "main")
            return SimpleNamespace(sha=COMMIT)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    return calls


def served(folder: Path, name: str, content: bytes, **more: Any) -> UrlFile:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return UrlFile(url=(folder / name).as_uri(), to=name, **more)


def test_a_dataset_of_the_hub_comes_at_one_commit_and_only_once(tmp_path: Path, hub: list[dict[str, Any]]) -> None:
    origin = HubOrigin(hub="own/er", files=("data/test-*.parquet",))
    first = fetch_benchmark("b", origin, tmp_path / "b")
    assert (first["status"], first["revision"]) == ("fetched", COMMIT)
    second = fetch_benchmark("b", origin, tmp_path / "b")
    assert (second["status"], second["revision"]) == ("there", COMMIT)
    assert hub == [
        {"repo": "own/er", "repo_type": "dataset", "revision": COMMIT, "allow_patterns": ["data/test-*.parquet"]}
    ]
    assert not (tmp_path / "b" / INCOMPLETE).exists()


def test_two_releases_are_not_mixed_in_a_folder(tmp_path: Path, hub: list[dict[str, Any]]) -> None:
    fetch_benchmark("b", HubOrigin(hub="own/er"), tmp_path / "b")
    with pytest.raises(ConfigurationError, match="must not be mixed"):
        fetch_benchmark("b", HubOrigin(hub="own/er", revision="v2"), tmp_path / "b")


def test_offline_says_what_to_do_and_is_no_obstacle_to_what_is_there(
    tmp_path: Path, hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = HubOrigin(hub="own/er")
    fetch_benchmark("there", origin, tmp_path / "there")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch_benchmark("there", origin, tmp_path / "there")["status"] == "there"
    with pytest.raises(ConfigurationError, match="HF_HUB_OFFLINE=0 kedro run --pipelines=fetch_benchmarks"):
        fetch_benchmark("b", origin, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_hub_that_cannot_be_reached_or_wants_an_agreement_is_an_error(
    tmp_path: Path, hub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import GatedRepoError, HTTPError, LocalEntryNotFoundError

    gated = GatedRepoError.__new__(GatedRepoError)  # its own constructor wants a server's answer
    for error, message in (
        (HTTPError("Name or service not known"), "could not be downloaded from own/er"),
        (LocalEntryNotFoundError("no connection"), "could not be downloaded from own/er"),
        (gated, "Accept its terms at https://huggingface.co/datasets/own/er"),
    ):

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
        with pytest.raises(DownloadError, match=message):
            fetch_benchmark("b", HubOrigin(hub="own/er"), tmp_path / "b")
        assert (tmp_path / "b" / INCOMPLETE).exists()
        assert not (tmp_path / "b" / RECORD).exists()


def test_files_come_with_checksums_and_archives_are_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("val/1.jpg", b"picture")
        members.writestr("../outside.txt", b"no")
    server, folder = tmp_path / "server", tmp_path / "b"
    digest = hashlib.sha256(b"{}").hexdigest()
    files = (
        served(server, "val.zip", archive.read_bytes(), unpack=True),
        served(server, "add_obj.json", b"{}", sha256=digest),
    )
    assert fetch_benchmark("b", UrlOrigin(urls=files), folder)["status"] == "fetched"
    assert (folder / "val/1.jpg").read_bytes() == b"picture"
    assert not (folder / "val.zip").exists()
    assert not (tmp_path / "outside.txt").exists()
    assert json.loads((folder / RECORD).read_text())["files"]["add_obj.json"] == digest


def test_an_archive_that_claims_more_than_the_disk_holds_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "made.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("val/1.jpg", bytes(5_000_000))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4_000_000))
    files = (served(tmp_path / "server", "val.zip", archive.read_bytes(), unpack=True),)
    with pytest.raises(DownloadError, match="its files have 5,000,000 bytes, and 4,000,000 are free"):
        fetch_benchmark("b", UrlOrigin(urls=files), tmp_path / "b")
    assert not (tmp_path / "b/val").exists()


def test_a_wrong_checksum_or_archive_stops_and_a_second_run_goes_on(tmp_path: Path) -> None:
    server, folder = tmp_path / "server", tmp_path / "b"
    good, wrong = served(server, "a.json", b"{}"), served(server, "b.json", b"[]", sha256="0" * 64)
    with pytest.raises(DownloadError, match=r"b\.json: its SHA-256 is"):
        fetch_benchmark("b", UrlOrigin(urls=(good, wrong)), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", INCOMPLETE]
    (server / "a.json").unlink()  # what has arrived is not asked for again
    right = wrong.model_copy(update={"sha256": hashlib.sha256(b"[]").hexdigest()})
    assert fetch_benchmark("b", UrlOrigin(urls=(good, right)), folder)["status"] == "fetched"
    broken = served(server, "c.zip", b"no zip", unpack=True)
    with pytest.raises(DownloadError, match="not a whole zip"):
        fetch_benchmark("c", UrlOrigin(urls=(broken,)), tmp_path / "c")
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch_benchmark("d", UrlOrigin(urls=(good,)), tmp_path / "d")


def test_what_has_to_be_done_by_hand_is_said(tmp_path: Path) -> None:
    parameters = FetchBenchmarksParameters(
        folder=str(tmp_path), benchmarks=["b"], origins={"b": ManualOrigin(by_hand="Ask the owner")}
    )
    assert [(r["status"], r["note"]) for r in fetch_benchmarks(parameters)] == [("by hand", "Ask the owner")]
    (tmp_path / "b").mkdir()
    (tmp_path / "b/file").touch()
    assert [(r["status"], r["note"]) for r in fetch_benchmarks(parameters)] == [("there", "")]


def test_the_config_names_a_folder_and_an_origin_for_every_benchmark_of_the_catalog() -> None:
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    parameters = FetchBenchmarksParameters(**loader["parameters"]["fetch_benchmarks"])
    made = ("data/05_model_input/",)  # questions that a stage of this project writes are not fetched
    catalog = {k: e for k, e in loader["catalog"].items() if not str(e.get("filepath")).startswith(made)}
    entries = {e["name"]: e for e in catalog.values() if e["type"].endswith("BenchmarkDataset")}
    assert set(parameters.benchmarks) < set(parameters.origins) <= set(entries)
    for key, entry in catalog.items():
        if entry["type"].endswith("BenchmarkDataset"):
            assert key == f"benchmark_{entry['name']}"
            folder, _, origin = entry["filepath"].rpartition("/")
            assert folder == parameters.folder
            assert origin in parameters.origins
            assert origin == entry["name"] or entry["name"] not in parameters.origins


@pytest.mark.parametrize(
    ("url", "to"), [("ftp://example.org/a", "a"), ("https://example.org/a", "../a"), ("https://example.org/a", "/a")]
)
def test_odd_addresses_and_names_are_refused(url: str, to: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        UrlFile(url=url, to=to)
