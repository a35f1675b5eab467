"""An S3-like server on loopback, whose requests are answered one after another, as conditional puts need it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest


@contextmanager
def serving() -> Iterator[str]:
    """Run the server for the block; yields its address."""
    for package in ("moto.server", "s3fs", "upath"):
        pytest.importorskip(package)
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def make_bucket(server: str, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket and return its address; who reaches it is said by the environment alone."""
    import s3fs

    found = {"AWS_ENDPOINT_URL": server, "AWS_DEFAULT_REGION": "us-east-1"}
    found |= {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "loopback"}
    for variable, value in found.items():
        monkeypatch.setenv(variable, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = name.replace("_", "-").lower()[:50]
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}"
