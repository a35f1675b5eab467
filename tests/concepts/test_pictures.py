"""Pictures by address: a real server on loopback that answers well, badly, slowly, for ever, or not at all."""

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from cultureclip.concepts import pictures
from cultureclip.concepts.pictures import PictureFetcher, PictureSettings
from cultureclip.reading.pictures import BROKEN, NOT_A_PICTURE, unread_format


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path."""

    protocol_version = "HTTP/1.1"
    seen: list[str]

    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        self.server.agents.append(self.headers["User-Agent"])  # type: ignore[attr-defined]
        name = self.path.split("?")[0].strip("/")
        getattr(self, f"send_{name}", self.send_missing)()

    def reply(self, status: int, content: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def send_missing(self) -> None:
        self.reply(404)

    def send_good(self) -> None:
        self.reply(200, png(), Content_Type="text/html")

    def send_moved(self) -> None:
        self.reply(302, Location="/good?again")

    def send_circle(self) -> None:
        self.reply(302, Location="/circle")

    def send_inward(self) -> None:
        self.reply(302, Location=f"http://localhost:{self.server.server_address[1]}/good")

    def send_file(self) -> None:
        self.reply(302, Location="file:///etc/passwd")

    def send_text(self) -> None:
        self.reply(200, b"<html>no picture here</html>", Content_Type="image/png")

    def send_svg(self) -> None:
        self.reply(200, b"<svg xmlns='http://www.w3.org/2000/svg'/>", Content_Type="image/svg+xml")

    def send_half(self) -> None:
        self.reply(200, png()[:45])

    def send_short(self) -> None:
        self.reply(200, png()[:60], length=len(png()))

    def send_huge(self) -> None:
        self.reply(200, b"\0" * 5000)

    def send_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"\0" * 4096)

    def send_silent(self) -> None:
        time.sleep(3)

    def send_dripping(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(60):
            self.wfile.write(b"\0")
            self.wfile.flush()
            time.sleep(0.05)

    def send_dripping_headers(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(60):
            self.wfile.write(f"X-{number}: y\r\n".encode())
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()


@pytest.fixture(scope="module")
def picture_server() -> Iterator[Any]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.seen, server.agents = [], []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetcher(folder: Path, **changes: Any) -> PictureFetcher:
    allowed = {"user_agent": "cultureclip tests (a@b.org)", "timeout_s": 1, "allow_private": ["127.0.0.1"]}
    return PictureFetcher(PictureSettings.model_validate(allowed | {"folder": str(folder)} | changes))


def address(server: Any, name: str) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{name}"


def test_a_picture_is_fetched_once_and_kept(picture_server: Any, tmp_path: Path) -> None:
    good, moved = address(picture_server, "good?x=1#part"), address(picture_server, "moved")
    picture_server.seen.clear()
    found = fetcher(tmp_path).fetch([good, moved, good])
    assert {Path(file).read_bytes() for file in found.values()} == {png()}
    assert Counter(picture_server.seen) == Counter(["/good?x=1", "/moved", "/good?again"])
    assert set(picture_server.agents) == {"cultureclip tests (a@b.org)"}
    picture_server.seen.clear()
    assert fetcher(tmp_path).fetch([good, moved]) == found
    assert picture_server.seen == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone", "server answers 404"),
        ("circle", pictures.REDIRECTS),
        ("inward", pictures.PRIVATE),
        ("file", pictures.BAD_ADDRESS),
        ("text", NOT_A_PICTURE),
        ("svg", unread_format("SVG")),
        ("half", BROKEN),
        ("short", None),
        ("huge", pictures.TOO_LARGE),
        ("endless", pictures.TOO_LARGE),
        ("silent", pictures.TOO_SLOW),
        ("dripping", pictures.TOO_SLOW),
        ("dripping_headers", pictures.TOO_SLOW),
    ],
)
def test_what_is_no_picture_has_its_reason(picture_server: Any, tmp_path: Path, name: str, reason: str | None) -> None:
    tried = fetcher(tmp_path, max_bytes=4000)
    started = time.monotonic()
    assert tried.fetch([address(picture_server, name)]) == {}
    assert time.monotonic() - started < 30, "the time limit holds"
    if reason is None:  # the connection is closed early; the library says so, or the length does
        assert set(tried.problems) <= {pictures.UNREACHABLE, pictures.CUT_OFF}
    else:
        assert tried.problems == {reason: 1}
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/a.png", pictures.BAD_ADDRESS),
        ("file:///etc/passwd", pictures.BAD_ADDRESS),
        ("//example.org/a.png", pictures.BAD_ADDRESS),
        ("http://", pictures.BAD_ADDRESS),
        ("http://[::1/a.png", pictures.BAD_ADDRESS),
        ("http://127.0.0.1:x/a.png", pictures.BAD_ADDRESS),
        ("http://127.0.0.1/a b.png", pictures.BAD_ADDRESS),
        ("http://127.0.0.1/a\r\nHost: x", pictures.BAD_ADDRESS),
        ("http://localhost/a.png", pictures.PRIVATE),
        ("http://127.0.0.1/a.png", pictures.PRIVATE),
        ("http://2130706433/a.png", pictures.PRIVATE),
        ("http://[::1]/a.png", pictures.PRIVATE),
        ("http://[::ffff:127.0.0.1]/a.png", pictures.PRIVATE),
        ("http://10.0.0.1/a.png", pictures.PRIVATE),
        ("http://169.254.169.254/latest/meta-data", pictures.PRIVATE),
        ("http://user:password@192.168.1.1/a.png", pictures.PRIVATE),
        ("http://0.0.0.0/a.png", pictures.PRIVATE),
        ("http://no-such-host.invalid/a.png", pictures.UNREACHABLE),
    ],
)
def test_addresses_that_lead_elsewhere_are_never_asked(tmp_path: Path, url: str, reason: str) -> None:
    tried = fetcher(tmp_path, allow_private=[])
    assert tried.fetch([url]) == {}
    assert tried.problems == {reason: 1}


def test_a_server_that_is_gone_is_counted(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as gone:
        port = gone.server_address[1]
    tried = fetcher(tmp_path)
    assert tried.fetch([f"http://127.0.0.1:{port}/good"]) == {}
    assert tried.problems == {pictures.UNREACHABLE: 1}


def test_a_failure_is_tried_again_and_a_kept_picture_needs_no_server(picture_server: Any, tmp_path: Path) -> None:
    Handler.send_later = Handler.send_missing  # type: ignore[attr-defined]
    assert fetcher(tmp_path).fetch([address(picture_server, "later")]) == {}
    Handler.send_later = Handler.send_good  # type: ignore[attr-defined]
    assert len(fetcher(tmp_path).fetch([address(picture_server, "later")])) == 1


@pytest.mark.parametrize(
    "change", [{"user_agent": "x\r\nHost: y"}, {"user_agent": ""}, {"timeout_s": 0}, {"proxy": "x"}]
)
def test_wrong_settings_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fetcher(tmp_path, **change)
