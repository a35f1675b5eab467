import base64
import io
import json

import pytest
from kedro.io import DatasetError, Version
from PIL import Image

from cultureclip.datasets.image_store_dataset import ImageStoreDataset
from cultureclip.datasets.shard_store_dataset import ShardStoreDataset
from cultureclip.images.records import encode_image


@pytest.fixture
def ids(tmp_path) -> list[str]:
    store = ImageStoreDataset(filepath=str(tmp_path / "store")).load()
    records = [encode_image(f"a{n}", Image.new("RGB", (8, 8), (n * 30, 0, 0)), 1, {}) for n in range(5)]
    store.write_part("a", records)
    return [record.image_id for record in records]


def dataset(tmp_path, load: str | None = None, save: str | None = None) -> ShardStoreDataset:
    store = {"filepath": str(tmp_path / "store")}
    return ShardStoreDataset(filepath=str(tmp_path / "images.json"), store=store, version=Version(load, save))


def test_a_version_is_a_sorted_manifest_and_old_versions_stay_readable(tmp_path, ids):
    dataset(tmp_path, save="v1").save(ids[::-1])
    dataset(tmp_path, save="v2").save(dataset(tmp_path, load="v1").load().ids[:2])
    manifest = json.loads((tmp_path / "images.json" / "v1" / "images.json").read_text())
    assert manifest["image_ids"] == ids
    assert dataset(tmp_path).load().ids == ids[:2]
    old = dataset(tmp_path, load="v1").load()
    assert len(old) == 5
    assert [image.getpixel((0, 0))[0] for image in old.read()] == [0, 30, 60, 90, 120]


def test_a_manifest_never_names_an_image_that_is_not_stored(tmp_path, ids):
    with pytest.raises(DatasetError, match="1 images are not in the store, first a9"):
        dataset(tmp_path, save="v1").save([*ids, "a9"])
    assert not dataset(tmp_path).exists()


@pytest.mark.parametrize("content", ['{"count": 1, "image_i', "[]", '{"count": 1}', "\udcff"])
def test_a_damaged_manifest_is_named(tmp_path, ids, content):
    dataset(tmp_path, save="v1").save(ids)
    file = tmp_path / "images.json" / "v1" / "images.json"
    file.write_text(content, errors="surrogateescape")
    with pytest.raises(DatasetError, match=rf"{file}: not a manifest of images.*kedro run --pipelines=synthesis"):
        dataset(tmp_path).load()


def test_preview_is_a_picture(tmp_path, ids):
    dataset(tmp_path, save="v1").save(ids)
    sheet = Image.open(io.BytesIO(base64.b64decode(dataset(tmp_path).preview())))
    assert sheet.format == "PNG"
    assert sheet.getpixel((64 * 4 + 5, 5)) == (120, 0, 0)


def test_the_store_itself_cannot_be_saved_as_a_whole(tmp_path):
    store = ImageStoreDataset(filepath=str(tmp_path / "none"))
    assert store.exists()
    assert store.load().present() == set()
    with pytest.raises(DatasetError, match="parts through the handle"):
        store.save(["a1"])
