"""Order of the suite: what takes minutes comes first, so no process is left with it in the end; an object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.object_store import make_bucket, serving

LONGEST = ("test_paper_end_to_end.py", "test_whole_run.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session")
def object_store() -> Iterator[str]:
    """The address of an S3-like server on loopback."""
    with serving() as address:
        yield address


@pytest.fixture
def bucket(object_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new bucket."""
    return make_bucket(object_store, tmp_path.name, monkeypatch)
