"""A real HTTP server on loopback that answers chat requests as a script says: well, badly, or not at all."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the server's behaviour."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.seen.append((time.monotonic(), headers, body))
            self.server.flying += 1
            self.server.most_flying = max(self.server.most_flying, self.server.flying)
        try:
            self.server.behaviour(self, body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self.server.lock:
                self.server.flying -= 1

    def send(self, content: bytes, status: int = 200, media: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


class ChatServer(ThreadingHTTPServer):
    """Counts what it is asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.seen: list[tuple[float, dict[str, str], dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.flying = self.most_flying = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def chat_server(behaviour: Behaviour) -> Iterator[ChatServer]:
    server = ChatServer(behaviour)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def completion(text: Any = "yes", model: str = "small", finish: Any = "stop", **message: Any) -> dict[str, Any]:
    """A whole reply, as servers give it."""
    return {
        "id": "chat-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def says(reply: Any) -> Behaviour:
    """Always send the same reply."""
    return lambda handler, _: handler.send(json.dumps(reply).encode())


def fails(status: int, times: int | None = None, **headers: str) -> Behaviour:
    """Send an error, ``times`` times or always, then a good reply."""
    left = [times if times is not None else 10**9]

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        with handler.server.lock:
            left[0] -= 1
            failing = left[0] >= 0
        if failing:
            handler.send(b'{"error": {"message": "no"}}', status, **headers)
        else:
            handler.send(json.dumps(completion()).encode())

    return behave
