"""The command that tidies the image store: which images are listed, and so must stay."""

import pytest
from kedro.io import DataCatalog
from kedro.io.core import Version
from PIL import Image

from cultureclip.datasets.shard_store_dataset import ShardStoreDataset
from cultureclip.errors import MissingInputError
from cultureclip.images.records import encode_image
from cultureclip.images.store import ShardStore
from cultureclip.images.upkeep import collect
from cultureclip.store_command import find_listed


def manifest(folder, save: str | None = None, name: str = "images.json") -> ShardStoreDataset:
    store = {"filepath": str(folder / "store")}
    return ShardStoreDataset(filepath=str(folder / name), store=store, version=Version(None, save))


def test_images_of_every_version_of_every_manifest_over_the_store_stay(tmp_path):
    store = ShardStore(tmp_path / "store")
    for number in range(4):
        store.write_part("a", [encode_image(f"a{number}", Image.new("RGB", (8, 8)), 1, {})])
    manifest(tmp_path, "2026-01-01T00.00.00.000Z").save(["a0"])
    manifest(tmp_path, "2026-01-02T00.00.00.000Z").save(["a1"])
    manifest(tmp_path, "2026-01-02T00.00.00.000Z", "others.json").save(["a2"])
    elsewhere = ShardStoreDataset(filepath=str(tmp_path / "else.json"), store={"filepath": str(tmp_path / "else")})
    catalog = DataCatalog(
        {"images": manifest(tmp_path), "others": manifest(tmp_path, name="others.json"), "elsewhere": elsewhere}
    )
    assert find_listed(catalog, store) == {"a0", "a1", "a2"}
    assert collect(store, find_listed(catalog, store), 0.0, delete=True).images == 1
    assert ShardStore(store.root).present() == {"a0", "a1", "a2"}


@pytest.mark.parametrize("harm", ["none", "damaged"])
def test_without_a_manifest_that_can_be_read_nothing_is_removed(tmp_path, harm):
    if harm == "damaged":
        place = tmp_path / "images.json" / "2026-01-01T00.00.00.000Z" / "images.json"
        place.parent.mkdir(parents=True)
        place.write_text('{"image_ids": ["a')
    with pytest.raises(MissingInputError, match="all would be removed" if harm == "none" else "not a manifest"):
        find_listed(DataCatalog({"images": manifest(tmp_path)}), ShardStore(tmp_path / "store"))
