"""Order of the suite: what takes minutes comes first, so that no process is left with it at the end."""

import pytest

LONGEST = ("test_paper_end_to_end.py", "test_whole_run.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
