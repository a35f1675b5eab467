"""A real HTTP server on loopback that does what the Hugging Face hub does for a push: repositories, LFS, commits."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

LARGE = (".safetensors", ".onnx", ".data", ".parquet", ".tar", ".png")
_REPOSITORY = re.compile(r"/api/(model|dataset)s/([^/]+/[^/]+)(/.*)?")
_BATCH = re.compile(r"/(?:datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Hub(ThreadingHTTPServer):
    """Keeps repositories in memory.

    Attributes:
        token: The token that it takes; any other is refused with words that repeat it.
        repositories: Address -> kind, whether it is private, and files.
        commits: Number of commits that it took.
        refuses: Start of the path of requests that it answers with 500.
        drops: Start of the path of requests that it cuts off without an answer.
    """

    daemon_threads = True

    def __init__(self, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.repositories: dict[str, dict[str, Any]] = {}
        self.stored: dict[str, bytes] = {}
        self.commits = 0
        self.refuses = self.drops = "none"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.stored[oid] = content
        self._send(200, {})

    def _answer(self, body: bytes) -> None:
        path, hub = self.path.partition("?")[0], self.server
        if path.startswith(hub.drops):
            self.connection.close()
            return
        if path.startswith(hub.refuses):
            self._send(501, {"error": "out of order"})
            return
        given = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        if given != hub.token:
            self._send(401, {"error": f"the token {given} is not known here"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            header = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            errors = [] if "license" in header else [{"message": "license is missing"}]
            self._send(400 if errors else 200, {"errors": errors, "warnings": []})
        elif match := _BATCH.fullmatch(path):
            self._send(200, {"transfer": "basic", "objects": [self._place(o) for o in json.loads(body)["objects"]]})
        elif (match := _REPOSITORY.fullmatch(path)) and match[2] in hub.repositories:
            self._of(hub.repositories[match[2]], match[2], match[3] or "", body)
        else:
            self._send(404, {"error": f"no {path}"})

    def _create(self, wish: dict[str, Any]) -> None:
        name = f"{wish['organization']}/{wish['name']}"
        known = name in self.server.repositories
        private = wish.get("visibility") == "private"
        self.server.repositories.setdefault(name, {"kind": wish["type"], "private": private, "files": {}})
        self._send(409 if known else 200, {"url": f"{self.server.url}/{name}", "id": name})

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        action = (
            {} if item["oid"] in self.server.stored else {"upload": {"href": f"{self.server.url}/lfs/{item['oid']}"}}
        )
        return item | ({"actions": action} if action else {})

    def _of(self, repository: dict[str, Any], name: str, rest: str, body: bytes) -> None:
        files = repository["files"]
        if rest.startswith("/tree/"):
            found = [{"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in files.items()]
            self._send(200, found)
        elif rest.startswith("/preupload/"):
            wanted = [(item["path"], item["path"].endswith(LARGE)) for item in json.loads(body)["files"]]
            modes = [
                {"path": p, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False} for p, large in wanted
            ]
            self._send(200, {"files": modes})
        elif rest.startswith("/commit/"):
            self._commit(files, body)
            self._send(200, {"commitUrl": f"{self.server.url}/{name}/commit/1", "commitOid": "1" * 40})
        else:
            self._send(200, {"id": name, "private": repository["private"], "siblings": [], "tags": [], "sha": "1" * 40})

    def _commit(self, files: dict[str, bytes], body: bytes) -> None:
        self.server.commits += 1
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]

    def _send(self, status: int, content: Any) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


@contextmanager
def hub(token: str) -> Iterator[Hub]:
    """Start the server; it is stopped at the end."""
    server = Hub(token)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
