import pytest
from kedro.io import DataCatalog, DatasetError

from cultureclip.datasets.keyed_store_dataset import KeyedStoreDataset
from cultureclip.engine.keyed_store import KeyedStore


def test_load_gives_a_handle_that_keeps_what_is_put(tmp_path):
    dataset = KeyedStoreDataset(filepath=str(tmp_path / "a" / "store.sqlite"))
    assert dataset.exists()
    dataset.load().put({"key": "answer"})
    assert KeyedStore(tmp_path / "a" / "store.sqlite").get(["key"]) == {"key": "answer"}
    assert dataset.load().get(["key"]) == {"key": "answer"}


def test_save_is_refused_and_says_what_to_do(tmp_path):
    dataset = KeyedStoreDataset(filepath=str(tmp_path / "store.sqlite"))
    with pytest.raises(DatasetError, match="put"):
        dataset.save(KeyedStore(tmp_path / "other.sqlite"))
    assert not (tmp_path / "store.sqlite").exists()


def test_a_catalog_entry_makes_it(tmp_path):
    entry = {
        "type": "cultureclip.datasets.keyed_store_dataset.KeyedStoreDataset",
        "filepath": str(tmp_path / "store.sqlite"),
        "metadata": {"kedro-viz": {"layer": "intermediate"}},
    }
    catalog = DataCatalog.from_config({"store": entry})
    assert len(catalog.load("store")) == 0
    assert str(tmp_path / "store.sqlite") in str(catalog["store"]._describe())
