"""Result files and downloads as others may have left them: read as what they are, or refused by name."""

import io
import json
import math
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cultureclip.benchmarks.downloads.fetch import fetch_benchmark
from cultureclip.benchmarks.downloads.origins import INCOMPLETE, UrlFile, UrlOrigin
from cultureclip.errors import DownloadError, SourceDataError
from cultureclip.report.exports.leaderboard import find_results, merge_results, tabulate_rows, to_html, to_latex
from cultureclip.report.markdown import to_markdown


def result(folder: Path, **changes: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    document = {"dataset": "d", "model": "m", "pretrained": "w", "metrics": {"acc": 0.5}} | changes
    file = folder / f"{len(list(folder.iterdir()))}.json"
    file.write_text(json.dumps(document))
    return file


# Results


def test_figures_and_names_are_written_as_they_are(tmp_path: Path) -> None:
    found = tabulate_rows(merge_results([result(tmp_path), result(tmp_path, model="1e5")]), [])
    lines = to_markdown(found).splitlines()[2:]
    assert [[cell.strip() for cell in line.split("|")[1:3]] for line in lines] == [["1e5", "50.0"], ["m", "50.0"]]


@pytest.mark.parametrize("name", ["\ud800x", "a\x00b\r\nc\x1b[31m\u202ed", "x" * 100_000, "a_s" + "9" * 5000, "<b>"])
def test_names_of_any_kind_can_be_written_and_stay_in_their_line(tmp_path: Path, name: str) -> None:
    found = tabulate_rows(merge_results([result(tmp_path, model=name, dataset=name, pretrained=name)]), [])
    pages = [to_html(found), to_markdown(found), to_latex(found)]
    assert all(len(page.encode("utf-8")) < 5000 for page in pages)
    assert all(char.isprintable() or char == "\n" for page in pages for char in page)
    assert len(pages[1].splitlines()) == 3
    assert "<b>" not in pages[1]


def test_what_is_no_number_has_no_cell(tmp_path: Path) -> None:
    metrics = {"acc": 0.5, "acc5": math.nan, "big": 10**400, "flag": True}
    files = [result(tmp_path / "a", metrics=metrics), result(tmp_path / "b", metrics=metrics)]
    (row,) = merge_results(files)  # NaN is unlike itself: it once made the same result a contradiction
    assert [column.metric for column in row.cells] == ["acc"]


@pytest.mark.parametrize("ends", ["ab", [0.1], [None, 0.2], {"low": 0}])
def test_an_interval_that_is_none_is_not_shown(tmp_path: Path, ends: object) -> None:
    found = tabulate_rows(merge_results([result(tmp_path, intervals={"acc": ends}, n={"acc": "many"})]), [])
    assert found.to_numpy().tolist() == [["50.0"]]


@pytest.mark.parametrize("more", [{"intervals": []}, {"n": 5}, {"data_hash": 5}, {"run_id": []}])
def test_fields_of_a_wrong_type_are_named(tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(SourceDataError, match=f"{next(iter(more))} missing or of a wrong type"):
        merge_results([result(tmp_path, **more)])


def test_a_folder_or_a_nest_of_brackets_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(SourceDataError, match=r"x\.json: it is not a result \(a folder, not a regular file"):
        merge_results(find_results([str(tmp_path)]))
    (tmp_path / "y").mkdir()
    (tmp_path / "y/deep.json").write_text("[" * 100_000)
    with pytest.raises(SourceDataError, match=r"deep\.json: it is not a result \(.*nested too deeply"):
        merge_results(find_results([str(tmp_path / "y")]))


def test_metrics_without_a_column_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = merge_results([result(tmp_path, metrics={"acc": 0.5, "scene": 0.4, "ERR@5": 0.3})])
    with caplog.at_level("INFO"):
        assert tabulate_rows(rows, ["acc", "scene"]).shape == (1, 2)
    assert "none of leaderboard.metrics: ERR@5" in caplog.text
    caplog.clear()
    assert tabulate_rows(rows, []).shape == (1, 3)
    assert not caplog.text


# Downloads


@contextmanager
def serve(headers: dict[str, str], body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1" if "Transfer-Encoding" in headers else "HTTP/1.0"

        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a.json"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"Content-Length": "1000"}, b"{}"), ({"Transfer-Encoding": "chunked"}, b"100\r\nabc")],
)
def test_a_download_that_breaks_off_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], body: bytes
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with serve(headers, body) as url, pytest.raises(DownloadError, match="could not be downloaded"):
        fetch_benchmark("own", UrlOrigin(urls=(UrlFile(url=url, to="a.json"),)), tmp_path / "own")
    assert [path.name for path in (tmp_path / "own").iterdir()] == [INCOMPLETE]


def archive(damage: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr("a.txt", "hello " * 1000)
    data = bytearray(buffer.getvalue())
    directory = data.rfind(b"PK\x01\x02")
    if damage == "compressed bytes":
        data[40:50] = b"\xff" * 10
    elif damage == "encrypted":
        data[6], data[directory + 8] = data[6] | 1, data[directory + 8] | 1
    else:
        data[8] = data[directory + 10] = 99
    return bytes(data)


@pytest.mark.parametrize("damage", ["compressed bytes", "encrypted", "method"])
def test_an_archive_that_cannot_be_unpacked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    (tmp_path / "a.zip").write_bytes(archive(damage))
    file = UrlFile(url=(tmp_path / "a.zip").as_uri(), to="a.zip", unpack=True)
    with pytest.raises(DownloadError, match=r"a\.zip: not a whole zip"):
        fetch_benchmark("own", UrlOrigin(urls=(file,)), tmp_path / "own")
