"""The index of pictures: kept embeddings, unreadable pictures, other encoders, damaged files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cultureclip.attribution.embedding import Embedder, read_each
from cultureclip.attribution.index import HEADER_NAME, VECTORS_NAME, load_index, save_index
from cultureclip.attribution.indexing import build_index
from cultureclip.attribution.knowledge_base import KnowledgeBase, check_entities
from cultureclip.attribution.pictures import ReferencePictures, open_folder
from cultureclip.datasets.picture_index_dataset import PictureIndexDataset
from cultureclip.errors import IndexMismatchError, SourceDataError, StorageError
from cultureclip.models.encoder import load_encoder
from tests.attribution.conftest import TEXT, entity_rows, noise
from tests.support.tiny_clip import write_tiny_clip


def base(pictures):
    rows = [(f"e{place}", f"thing {place}", TEXT, picture) for place, picture in enumerate(pictures)]
    return KnowledgeBase.of(check_entities(entity_rows(*rows), "mine"))


def test_search_equals_comparing_all_pairs(pictures, embedder, encoder_path):
    index = build_index(base(pictures), embedder, 24)
    queries = load_encoder(encoder_path).encode_images([noise(seed) for seed in range(50, 57)])
    references = load_encoder(encoder_path).encode_images([Image.open(path) for path in pictures])
    cosines = queries @ references.T
    for row, hits in zip(cosines, index.search(queries, embedder.fingerprint, 5), strict=True):
        assert [place for place, _ in hits] == np.argsort(-row, kind="stable")[:5].tolist()
        np.testing.assert_allclose([cosine for _, cosine in hits], np.sort(row)[::-1][:5], atol=1e-5)
    assert [len(hits) for hits in index.search(queries, embedder.fingerprint, 99)] == [12] * 7


def test_what_is_embedded_is_kept(pictures, settings, store, monkeypatch):
    build_index(base(pictures), Embedder(settings, store), 24)
    again = Embedder(settings, store)
    monkeypatch.setattr(Embedder, "encoder", property(lambda _: pytest.fail("the encoder was read")))
    assert build_index(base(pictures), again, 24).pictures == tuple(pictures)
    assert len(store) == 12


def test_equal_pictures_are_embedded_once_and_a_changed_file_again(pictures, embedder, store):
    Path(pictures[1]).write_bytes(Path(pictures[0]).read_bytes())
    first = build_index(base(pictures), embedder, 24)
    assert len(store) == 11
    np.testing.assert_array_equal(first.vectors.reconstruct(0), first.vectors.reconstruct(1))
    noise(99).save(pictures[1])
    assert not np.allclose(
        build_index(base(pictures), embedder, 24).vectors.reconstruct(1), first.vectors.reconstruct(1)
    )


def test_an_unreadable_picture_is_left_out_and_named(pictures, embedder, tmp_path):
    Path(pictures[3]).write_bytes(Path(pictures[3]).read_bytes()[:100])
    Path(pictures[5]).unlink()
    (tmp_path / "folder.png").mkdir()
    index = build_index(base([*pictures, str(tmp_path / "folder.png"), "emoji:no such"]), embedder, 24)
    assert index.vectors.ntotal == 10
    assert set(index.faults) == {pictures[3], pictures[5], str(tmp_path / "folder.png"), "emoji:no such"}
    assert "cut off" in index.faults[pictures[3]]
    assert "missing" in index.faults[pictures[5]]
    assert [ids for ids, path in zip(index.entities, index.pictures, strict=True) if path == pictures[4]] == [("e4",)]


def test_a_knowledge_base_of_unreadable_pictures_is_refused(embedder):
    with pytest.raises(SourceDataError, match=r"none of 2 pictures can be read, first no\.png"):
        build_index(base(["no.png", "none.png"]), embedder, 24)


def test_a_failing_disk_is_no_unreadable_picture():
    def fail(ids):
        raise OSError(5, "Input/output error", "a.png")

    with pytest.raises(StorageError, match="disk error"):
        read_each(fail, ["a", "b"])


def test_emoji_of_the_knowledge_base_are_drawn(embedder):
    index = build_index(base(["emoji:👘", "emoji:🥻"]), embedder, 64)
    assert index.vectors.ntotal == 2
    assert ReferencePictures(["emoji:👘"], 64).read(["emoji:👘"])[0].size == (64, 64)


def test_an_index_of_another_encoder_is_refused(pictures, embedder, tmp_path):
    save_index(build_index(base(pictures), embedder, 24), tmp_path / "index")
    other = load_encoder(write_tiny_clip(tmp_path / "other", seed=1))
    with pytest.raises(IndexMismatchError, match="built by the encoder"):
        load_index(tmp_path / "index").search(other.encode_images([noise(1)]), other.fingerprint, 3)


def test_an_index_comes_back_from_the_disk(pictures, embedder, tmp_path):
    built = build_index(base([*pictures, "gone.png"]), embedder, 24)
    dataset = PictureIndexDataset(filepath=str(tmp_path / "index"))
    dataset.save(built)
    loaded = dataset.load()
    assert (loaded.pictures, loaded.entities, loaded.faults) == (built.pictures, built.entities, built.faults)
    queries = np.stack([built.vectors.reconstruct(place) for place in range(3)])
    assert loaded.search(queries, embedder.fingerprint, 4) == built.search(queries, embedder.fingerprint, 4)


@pytest.mark.parametrize("damage", ["vectors", "header", "short", "foreign"])
def test_a_damaged_index_is_refused(pictures, embedder, tmp_path, damage):
    folder = tmp_path / "index"
    save_index(build_index(base(pictures), embedder, 24), folder)
    if damage == "vectors":
        (folder / VECTORS_NAME).write_bytes((folder / VECTORS_NAME).read_bytes()[:100])
    elif damage == "header":
        (folder / HEADER_NAME).write_text("{}", encoding="utf-8")
    elif damage == "short":
        (folder / VECTORS_NAME).unlink()
    else:
        save_index(build_index(base(pictures[:3]), embedder, 24), tmp_path / "small")
        (folder / VECTORS_NAME).write_bytes((tmp_path / "small" / VECTORS_NAME).read_bytes())
    with pytest.raises(SourceDataError, match=r"not an index|do not fit"):
        load_index(folder)


def test_a_folder_of_images_has_ids_of_content(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    noise(1).save(tmp_path / "a/one.png")
    noise(2).save(tmp_path / "a/b/two.PNG")
    (tmp_path / "a/again.png").write_bytes((tmp_path / "a/one.png").read_bytes())
    (tmp_path / "a/notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "a/gone.png").symlink_to(tmp_path / "nowhere.png")
    images = open_folder(tmp_path / "a")
    assert sorted(images.names.values()) == ["again.png", "b/two.PNG", "gone.png"]
    assert images.ids_by_name["one.png"] == images.ids_by_name["again.png"]
    assert images.read([images.ids_by_name["one.png"]])[0].size == (24, 24)
    (tmp_path / "a").rename(tmp_path / "moved")
    assert open_folder(tmp_path / "moved").ids == images.ids


@pytest.mark.parametrize(("name", "cause"), [("none", "no such folder"), ("empty", "no image in it")])
def test_a_folder_without_images_is_refused(tmp_path, name, cause):
    (tmp_path / "empty/c.png").mkdir(parents=True)
    with pytest.raises(SourceDataError, match=cause):
        open_folder(tmp_path / name)
