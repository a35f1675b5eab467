import pytest

from cultureclip.engine.folders import building
from cultureclip.errors import StorageError


def test_a_folder_appears_whole(tmp_path):
    with building(tmp_path / "deep" / "new") as folder:
        (folder / "a").write_text("1")
        assert not (tmp_path / "deep" / "new").exists()
    assert (tmp_path / "deep" / "new" / "a").read_text() == "1"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["new"]


def test_a_failure_leaves_nothing_behind(tmp_path):
    def fail(folder):
        (folder / "a").write_text("1")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), building(tmp_path / "new") as folder:
        fail(folder)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_touched(tmp_path):
    (tmp_path / "old").mkdir()
    with pytest.raises(StorageError, match="exists already"), building(tmp_path / "old"):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == [tmp_path / "old"]
