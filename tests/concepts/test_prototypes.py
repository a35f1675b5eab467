"""Looks over several pictures: which pictures and views count, and that the store changes nothing but the work."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cultureclip.concepts.looks import embed_pictures
from cultureclip.concepts.prototypes import PictureEmbedder, Seen, average_looks, choose_views, list_references
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.settings_base import CPU
from tests.support.tiny_clip import write_tiny_clip

ALL = ("left_right", "upside_down", "half_turn")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> ImageTextEncoder:
    return load_encoder(write_tiny_clip(tmp_path_factory.mktemp("judge")))


def some_pictures(count: int) -> list[Seen]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    return [Seen(picture, ALL if place % 3 else ()) for place, picture in enumerate(pixels)]


def test_views_are_of_the_kind_and_no_file_is_turned_over() -> None:
    views = {"pattern": ALL, "other": ("upside_down",)}
    assert choose_views("emoji:🏠", "pattern", views) == ALL
    assert choose_views("/pictures/house.jpg", "pattern", views) == ("left_right",)
    assert choose_views("/pictures/house.jpg", "other", views) == ()
    assert choose_views("emoji:🏠", "animal", views) == ()


def test_slices_and_the_store_give_what_embedding_one_by_one_gives(
    judge: ImageTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cultureclip.concepts.prototypes._AT_ONCE", 4)
    pictures = some_pictures(10)
    naive = np.stack([embed_pictures(judge, seen.pixels[None], seen.views)[0] for seen in pictures])
    embedder = PictureEmbedder(judge.source, CPU, KeyedStore(tmp_path / "store"))
    np.testing.assert_allclose(np.stack(list(embedder.embed(iter(pictures)))), naive, atol=1e-5)
    monkeypatch.setattr("cultureclip.concepts.prototypes.embed_pictures", None)  # a second time nothing is computed
    np.testing.assert_allclose(np.stack(list(embedder.embed(pictures[::-1]))), naive[::-1], atol=1e-5)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_a_pool_of_any_size_gives_the_bits_of_this_process_and_leaves_no_file(judge, tmp_path, monkeypatch, workers):
    monkeypatch.setattr("cultureclip.concepts.prototypes._AT_ONCE", 4)
    pictures = [*some_pictures(10), *some_pictures(2)]  # two come again
    stores = [KeyedStore(tmp_path / name / "store") for name in ("here", "there")]
    engines = [HERE, EngineSettings(kind="pool", workers=workers, journal=tmp_path / "jobs")]
    here, there = (
        np.stack(list(PictureEmbedder(judge.source, CPU, store, engine).embed(iter(pictures))))
        for store, engine in zip(stores, engines, strict=True)
    )
    np.testing.assert_array_equal(here, there)
    assert sorted(stores[0].read_all()) == sorted(stores[1].read_all())
    assert len(stores[0]) == 10
    assert not [path for path in tmp_path.rglob("*looks*") if path.is_file()]


@pytest.mark.parametrize("change", ["pixels", "views", "encoder"])
def test_another_picture_view_or_encoder_of_the_same_width_is_embedded_anew(judge, tmp_path, change):
    store, seen = KeyedStore(tmp_path / "store"), some_pictures(2)[1]
    list(PictureEmbedder(judge.source, CPU, store).embed([seen]))
    other = load_encoder(write_tiny_clip(tmp_path / "other", seed=5)) if change == "encoder" else judge
    changed = {"pixels": seen._replace(pixels=255 - seen.pixels), "views": seen._replace(views=())}
    (found,) = PictureEmbedder(other.source, CPU, store).embed([changed.get(change, seen)])
    assert len(store) == 2
    expected = changed.get(change, seen)
    np.testing.assert_allclose(found, embed_pictures(other, expected.pixels[None], expected.views)[0], atol=1e-5)


def test_a_look_is_the_mean_of_all_pictures_of_the_concept():
    vectors = np.eye(3, dtype=np.float32)
    looks = average_looks(["a", "b", "a"], vectors)
    np.testing.assert_allclose(looks["a"], np.array([1, 0, 1]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_array_equal(looks["b"], vectors[1])


def test_pictures_of_all_sources_count_up_to_the_limit_and_dead_links_do_not():
    concepts = pd.DataFrame({"concept_id": ["a", "b", "c"], "reference_image": ["a.png", None, None]})
    rows = [("a", "http://x/1"), ("a", "http://x/2"), ("b", "http://x/dead"), ("c", "http://x/1"), ("a", None)]
    sources = pd.DataFrame(rows, columns=["concept_id", "picture_url"])
    sources["reference_images"] = [["a.png"], [], [], [], ["b.png"]]
    files = {"http://x/1": "one", "http://x/2": "two"}
    assert list_references(concepts, sources, 9, files) == {"a": ["a.png", "b.png", "one", "two"], "c": ["one"]}
    assert list_references(concepts, sources, 2, files) == {"a": ["a.png", "b.png"], "c": ["one"]}
    assert list_references(concepts, sources, 9, {}) == {"a": ["a.png", "b.png"]}
