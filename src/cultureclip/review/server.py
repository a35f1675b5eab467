"""The page's server: for this machine alone, and for those who know the token.

It listens on the loopback address. Every address below it begins with a token that is drawn at the start, so a page of
another site that guesses the port reaches nothing, and needs no cookie that other servers on this machine would get.
The header ``Host`` must name this machine: a foreign name that is made to lead here (DNS rebinding) is refused.
"""

import json
import logging
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from kedro.io import DatasetError
from pydantic import ValidationError

from cultureclip.errors import ConfigurationError, CultureClipError
from cultureclip.review.desk import Decision, Desk

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
_LARGEST_BODY = 64 * 1024
_SECONDS = 30  # that a connection may be silent
_STATIC = {
    "": ("cultureclip.review", "review.html", "text/html"),
    "review.js": ("cultureclip.review", "review.js", "text/javascript"),
    "review.css": ("cultureclip.review", "review.css", "text/css"),
    "style.css": ("cultureclip.report", "style.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one reviewer's desk.

    Args:
        desk: What is asked about, and what is done with answers.
        port: Port to listen on; 0 takes a free one.

    Attributes:
        address: The page's address, token included: whoever knows it can review.

    Raises:
        ConfigurationError: if the port is taken or not allowed.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk, self.token = desk, secrets.token_urlsafe(24)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise ConfigurationError(f"review.port {port}", str(error), "Choose another port, or 0 for any") from error
        self.address = f"http://{HOST}:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    """One request; everything unknown is answered alike, so that nothing is learned from the answer."""

    server: ReviewServer
    timeout = _SECONDS
    server_version, sys_version = "CultureCLIP", ""

    def do_GET(self) -> None:
        """Answer with a file of the page, the list of pairs, or one pair."""
        place = self._place()
        if place in _STATIC:
            package, name, kind = _STATIC[place]
            self._send(files(package).joinpath("static", name).read_bytes(), f"{kind}; charset=utf-8")
        elif place == "pairs":
            self._send_json(self.server.desk.list_pairs())
        elif place is not None and place.startswith("pairs/") and place[6:].isdecimal() and len(place) < 20:
            self._send_json(self.server.desk.show(int(place[6:])))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Keep a decision."""
        length = self.headers.get("Content-Length", "")
        if self._place() != "decisions":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not length.isdecimal() or int(length) > _LARGEST_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            try:
                said = Decision.model_validate_json(self.rfile.read(int(length)))
                self._send_json(self.server.desk.decide(said))
            except ValidationError as error:
                faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
                self._send_json({"error": "; ".join(faults)}, HTTPStatus.BAD_REQUEST)
            except (CultureClipError, DatasetError) as error:
                cause = error.__cause__ if isinstance(error.__cause__, CultureClipError) else error
                logger.error("The decision is not kept: %s", cause)
                self._send_json({"error": f"not kept: {cause}"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    def _place(self) -> str | None:
        """Return what is asked for, behind the token; None for whoever does not know it or comes by another name."""
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}:
            return None
        _, _, behind = self.path.partition("/")
        token, slash, place = behind.partition("/")
        known = secrets.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode())
        return place if known and slash else None

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        if value is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: addresses hold the token."""
