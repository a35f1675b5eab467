"""The embedding pass: each thing once, kept by what made it, never stale."""

import dataclasses
import logging
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cultureclip.benchmarks.embedding import embeddings as module
from cultureclip.benchmarks.embedding import job
from cultureclip.benchmarks.embedding.embedder import Embedder
from cultureclip.benchmarks.embedding.embedding_store import EmbeddingStore
from cultureclip.benchmarks.embedding.embeddings import check_bases, embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.evaluate import answer_benchmarks
from cultureclip.benchmarks.pocket import culture_benchmarks
from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.references import read_references
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import ConfigurationError, SourceDataError, WeightsError
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from cultureclip.models.weights.checkpoint import load_tensors
from tests.benchmarks.conftest import make_twins


class Watched(Mapping):
    """Pictures decoded on access, some of which cannot be."""

    def __init__(self, pictures: Mapping[str, np.ndarray], broken: set[str]) -> None:
        self.pictures, self.broken, self.read = pictures, broken, []

    def __getitem__(self, key: str) -> np.ndarray:
        self.read.append(key)
        if key in self.broken:
            raise SourceDataError(key, "picture is no whole image", "Copy it again")
        return self.pictures[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.pictures)

    def __len__(self) -> int:
        return len(self.pictures)


@pytest.fixture(scope="module")
def benchmarks(flags: pd.DataFrame) -> list[ChoiceBenchmark]:
    twins = make_twins(flags, [("flag of ML", "flag of GN", "")])
    found = culture_benchmarks(flags, twins, read_references(flags, 16))
    return sorted((b for b in found if isinstance(b, ChoiceBenchmark)), key=lambda b: b.name)


@pytest.fixture(scope="module")
def model(tiny_model: Callable[[int], Path]) -> Path:
    return tiny_model(0)


def assert_equal(first: Embeddings, second: Embeddings, atol: float = 0) -> None:
    assert first.image_rows.keys() == second.image_rows.keys()
    assert first.text_rows.keys() == second.text_rows.keys()
    for key, row in first.image_rows.items():
        np.testing.assert_allclose(first.images[row], second.images[second.image_rows[key]], atol=atol)
    for text, row in first.text_rows.items():
        np.testing.assert_allclose(first.texts[row], second.texts[second.text_rows[text]], atol=atol)


def stores(cache: Path) -> tuple[EmbeddingStore, EmbeddingStore]:
    return EmbeddingStore(cache, "m", "images", torch.float32), EmbeddingStore(cache, "m", "texts", torch.float32)


def test_every_row_is_the_model_s_own_embedding(model: Path, benchmarks: list, tmp_path: Path) -> None:
    found = embed_benchmarks(model, benchmarks, tmp_path, EmbeddingSettings(batch=3))
    encoder = load_encoder(model)
    pictures = {key: pixels for b in benchmarks for key, pixels in b.images.items()}
    assert found.image_rows.keys() == pictures.keys()
    for key, pixels in pictures.items():
        own = encoder.model.encode_image(encoder.preprocess(Image.fromarray(pixels))[None], normalize=True)
        np.testing.assert_allclose(found.images[found.image_rows[key]], own[0].detach().numpy(), atol=1e-6)
    for text in {text for b in benchmarks for text in b.texts}:
        own = encoder.model.encode_text(encoder.tokenizer([text]), normalize=True)
        np.testing.assert_allclose(found.texts[found.text_rows[text]], own[0].detach().numpy(), atol=1e-6)


def test_a_second_pass_loads_no_model_and_reads_no_picture(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = embed_benchmarks(model, benchmarks, tmp_path)
    monkeypatch.setattr(job, "Embedder", lambda *_: pytest.fail("embedded again"))
    unread = [dataclasses.replace(b, images=Watched(b.images, set(b.images))) for b in benchmarks[::-1]]
    assert_equal(first, embed_benchmarks(model, unread, tmp_path))


def test_a_further_benchmark_costs_its_own_items_only(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    add = module.EmbeddingStore.add
    monkeypatch.setattr(
        module.EmbeddingStore, "add", lambda self, keys, *rest: (made.extend(keys), add(self, keys, *rest))
    )
    embed_benchmarks(model, benchmarks[:1], tmp_path)
    embed_benchmarks(model, benchmarks, tmp_path)
    images = {key for b in benchmarks for key in b.images}
    texts = {text for b in benchmarks for text in b.texts}
    assert len(made) == len(set(made)) == len(images) + len(texts)


def test_kept_rows_are_of_this_model_preprocessing_tokenizer_and_precision(
    model: Path, tiny_model: Callable[[int], Path], benchmarks: list, tmp_path: Path
) -> None:
    changes = {
        "open_clip_config.json": ("0.5", "0.4"),
        "tokenizer_config.json": ('"', ' "'),
    }
    embed_benchmarks(model, benchmarks, tmp_path / "kept")
    embed_benchmarks(model, benchmarks, tmp_path / "kept", EmbeddingSettings(precision="bf16"))
    embed_benchmarks(tiny_model(1), benchmarks, tmp_path / "kept")
    for name, (old, new) in changes.items():
        other = shutil.copytree(model, tmp_path / name)
        (other / name).write_text((other / name).read_text().replace(old, new, 1))
        embed_benchmarks(other, benchmarks, tmp_path / "kept")
    bf16_images = 1  # texts are embedded in fp32 always
    assert len(list((tmp_path / "kept").iterdir())) == 2 * (2 + len(changes)) + bf16_images


def test_precision_moves_embeddings_by_little(model: Path, benchmarks: list, tmp_path: Path) -> None:
    exact = embed_benchmarks(model, benchmarks, tmp_path)
    rough = embed_benchmarks(model, benchmarks, tmp_path, EmbeddingSettings(precision="bf16"))
    assert not np.array_equal(exact.images, rough.images)
    np.testing.assert_array_equal(exact.texts, rough.texts)
    assert_equal(exact, rough, atol=0.03)


def test_a_damaged_file_is_named_and_its_rows_are_made_again(
    model: Path, benchmarks: list, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = embed_benchmarks(model, benchmarks, tmp_path)
    kept = sorted(tmp_path.rglob("*.safetensors"))
    kept[0].write_bytes(kept[0].read_bytes()[:-7])
    with caplog.at_level(logging.WARNING):
        second = embed_benchmarks(model, benchmarks, tmp_path)
    assert kept[0].name in caplog.text
    assert_equal(first, second)
    assert sorted(tmp_path.rglob("*.safetensors")) == kept


def test_embeddings_that_are_not_finite_are_an_error_and_are_not_kept(
    tiny_model: Callable[[int], Path], benchmarks: list, tmp_path: Path
) -> None:
    folder = tiny_model(2)
    weights = folder / "open_clip_model.safetensors"
    state = load_file(weights)
    state["text_projection"] = torch.full(state["text_projection"].shape, 3e38)  # finite, but its products are not
    save_file(state, weights)
    for _ in range(2):  # nothing wrong was kept
        with pytest.raises(WeightsError, match=r"of \d+ texts have embeddings that are not finite"):
            embed_benchmarks(folder, benchmarks, tmp_path)


def test_towers_that_disagree_on_the_size_are_an_error(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageTextEncoder, "embed_tokens", lambda self, tokens: torch.ones(len(tokens), 5))
    with pytest.raises(WeightsError, match="24 numbers for an image, 5 for a text"):
        embed_benchmarks(model, benchmarks, tmp_path)


def test_pictures_that_cannot_be_read_fall_and_are_counted(model: Path, benchmarks: list, tmp_path: Path) -> None:
    grounding = next(b for b in benchmarks if b.name == "globalrg-grounding")
    broken = grounding.questions[0].image
    watched = dataclasses.replace(grounding, images=Watched(grounding.images, {broken}))
    found = embed_benchmarks(model, [watched], tmp_path)
    assert set(found.failed) == {broken}
    assert "no whole image" in found.failed[broken]
    assert found.image_rows.keys() == grounding.images.keys() - {broken}
    models = {"base": model, "again": model}
    rows, (asked,) = answer_benchmarks(models, [watched], tmp_path, EmbeddingSettings())
    lost = {q.item_id for q in grounding.questions if q.image == broken}
    for name in models:
        answered = {row["item_id"] for row in rows if row["model"] == name}
        assert answered == {q.item_id for q in grounding.questions} - lost
    assert sum(asked.card()["left_out"].values()) == sum(grounding.card()["left_out"].values()) + len(lost)


def test_out_of_memory_halves_the_batch(model: Path, benchmarks: list, tmp_path: Path, monkeypatch) -> None:
    whole = embed_benchmarks(model, benchmarks, tmp_path / "whole")
    embed = ImageTextEncoder.embed_pixels

    def embed_few(self: ImageTextEncoder, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return embed(self, pixels)

    monkeypatch.setattr(ImageTextEncoder, "embed_pixels", embed_few)
    assert_equal(whole, embed_benchmarks(model, benchmarks, tmp_path / "few"), atol=1e-6)


def test_texts_go_the_longest_first_each_at_its_own_length(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    embed = ImageTextEncoder._text_vectors

    def watch(self: ImageTextEncoder, tokens: torch.Tensor) -> torch.Tensor:
        lengths.append(tokens.shape[1])
        return embed(self, tokens)

    monkeypatch.setattr(ImageTextEncoder, "_text_vectors", watch)
    embed_benchmarks(model, benchmarks, tmp_path, EmbeddingSettings(batch=1))
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) > 1


def test_texts_that_are_cut_are_counted_and_others_are_not(model: Path, tmp_path: Path) -> None:
    """A text that just fills the context, start and end counted, is whole."""
    tokenizer = load_encoder(model).tokenizer
    fits = next(" ".join(["a"] * n) for n in range(1, 40) if (tokenizer([" ".join(["a"] * n)]) != 0).all())
    embedder = Embedder(model, EmbeddingSettings(), *stores(tmp_path))
    assert embedder.embed_texts({"a kimono": "1", fits: "2"}) == []
    assert embedder.embed_texts({"a kimono": "1", fits: "2", f"{fits} a": "3"}) == [f"{fits} a"]


def test_texts_that_are_cut_are_warned_of(
    model: Path, benchmarks: list, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Embedder, "_find_cut", lambda self, texts, *_: texts[:1])
    with caplog.at_level(logging.WARNING):
        embed_benchmarks(model, benchmarks, tmp_path)
    assert f"1 texts are cut to the context of {model}" in caplog.text


def test_the_next_batch_is_decoded_while_one_is_embedded(model: Path, tmp_path: Path) -> None:
    """Reading stays at most one batch ahead: memory holds two batches, not a benchmark."""
    pictures = {str(i): np.full((16, 16, 3), i, np.uint8) for i in range(12)}
    watched = Watched(pictures, set())
    embedder = Embedder(model, EmbeddingSettings(batch=2), *stores(tmp_path))
    seen_at: list[int] = []
    embed = embedder.encoder.embed_pixels

    def note(pixels: torch.Tensor) -> torch.Tensor:
        seen_at.append(len(watched.read))
        return embed(pixels)

    embedder.encoder.embed_pixels = note  # type: ignore[method-assign]
    embedder.embed_images({key: key for key in pictures}, dict.fromkeys(pictures, watched))
    assert len(seen_at) == 6
    assert all(read <= 2 * (number + 2) for number, read in enumerate(seen_at))


def test_models_tuned_from_another_base_are_refused(model: Path) -> None:
    check_bases(model, {"cultureclip_s1": load_encoder(model).fingerprint})
    with pytest.raises(ConfigurationError, match="cultureclip_s2 was tuned from"):
        check_bases(model, {"cultureclip_s1": load_encoder(model).fingerprint, "cultureclip_s2": "other"})


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_a_pool_of_any_size_stores_the_rows_of_one_process(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(job, "_BATCHES", 1)
    monkeypatch.setattr(job, "_TEXTS", 4)
    broken = min(benchmarks[0].images)
    asked = [dataclasses.replace(b, images=Watched(b.images, {broken})) for b in benchmarks]
    settings = EmbeddingSettings(batch=3)
    here = embed_benchmarks(model, asked, tmp_path / "here", settings)
    engine = EngineSettings(kind="pool", workers=workers, journal=tmp_path / "jobs")
    there = embed_benchmarks(model, asked, tmp_path / "there", settings, engine)
    assert_equal(here, there)
    assert set(here.failed) == set(there.failed) == {broken}
    kept, same = (
        {path.relative_to(folder): load_tensors(path) for path in folder.rglob("*.safetensors")}
        for folder in (tmp_path / "here", tmp_path / "there")
    )  # the order of a file's metadata is not fixed, so files are compared by what they hold
    assert kept.keys() == same.keys() and len(kept) > 4
    for path, (tensors, about) in kept.items():
        assert about == same[path][1]
        assert torch.equal(tensors["vectors"], same[path][0]["vectors"])


def test_a_run_that_shares_the_job_learns_which_pictures_another_could_not_read(
    model: Path, benchmarks: list, tmp_path: Path
) -> None:
    """The other run's slices are done, and say nothing of the picture."""
    broken = min(benchmarks[0].images)
    asked = [dataclasses.replace(b, images=Watched(b.images, {broken})) for b in benchmarks]
    engine = EngineSettings(journal=tmp_path / "jobs")
    first = embed_benchmarks(model, asked, tmp_path / "kept", engine=engine)
    second = embed_benchmarks(model, asked, tmp_path / "kept", engine=engine)
    assert set(first.failed) == set(second.failed) == {broken}


def test_pictures_are_decoded_some_at_a_time(
    model: Path, benchmarks: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never more than two batches of pictures are alive."""
    alive, most = weakref.WeakSet(), 0

    class Pixels(np.ndarray):
        pass

    class Counted(Watched):
        def __getitem__(self, key: str) -> np.ndarray:
            nonlocal most
            pixels = super().__getitem__(key).copy().view(Pixels)
            alive.add(pixels)
            most = max(most, len(alive))
            return pixels

    monkeypatch.setattr(Pixels, "__hash__", object.__hash__)
    monkeypatch.setattr(Pixels, "__eq__", object.__eq__)
    asked = [dataclasses.replace(b, images=Counted(b.images, set())) for b in benchmarks]
    embed_benchmarks(model, asked, tmp_path, EmbeddingSettings(batch=2))
    assert len({key for b in benchmarks for key in b.images}) > 6
    assert most <= 4
