import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from cultureclip.clip.export import checkpoint as export
from cultureclip.datasets.checkpoint_dataset import CheckpointDataset
from cultureclip.models.encoder import load_encoder
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.support.tiny_clip import write_tiny_clip


@pytest.fixture
def checkpoint(tmp_path):
    return make_checkpoint(write_tiny_clip(tmp_path / "base"))[0]


def dataset(tmp_path, load=None, save=None):
    return CheckpointDataset(filepath=str(tmp_path / "models" / "checkpoint"), version=Version(load, save))


def test_versions_are_kept_side_by_side_and_the_latest_is_loaded(tmp_path, checkpoint):
    assert not dataset(tmp_path).exists()
    for version in ("2024-01-01T00.00.00.000Z", "2025-01-01T00.00.00.000Z"):
        dataset(tmp_path, save=version).save(checkpoint)
    latest = dataset(tmp_path).load()
    assert latest.path == tmp_path / "models/checkpoint/2025-01-01T00.00.00.000Z/checkpoint"
    assert latest.card == checkpoint.card
    assert load_encoder(latest.merged_path).fingerprint != checkpoint.card.base_fingerprint
    assert "2024" in str(dataset(tmp_path, load="2024-01-01T00.00.00.000Z").load().path)
    assert dataset(tmp_path).exists()


def test_a_save_that_fails_leaves_no_checkpoint(tmp_path, checkpoint, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    real = export.save_merged
    monkeypatch.setattr(export, "save_merged", full)
    with pytest.raises(DatasetError, match="No space left"):
        dataset(tmp_path, save="2024-01-01T00.00.00.000Z").save(checkpoint)
    assert not dataset(tmp_path).exists()
    monkeypatch.setattr(export, "save_merged", real)
    dataset(tmp_path, save="2024-01-01T00.00.00.000Z").save(checkpoint)
    assert dataset(tmp_path).load().merged_path.is_dir()


def test_saving_a_version_twice_is_refused(tmp_path, checkpoint):
    dataset(tmp_path, save="2024-01-01T00.00.00.000Z").save(checkpoint)
    with pytest.raises(DatasetError, match="must not exist"):
        dataset(tmp_path, save="2024-01-01T00.00.00.000Z").save(checkpoint)
