import dataclasses
import errno
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from cultureclip.concepts.regions import region_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import MissingInputError, StorageError, WeightsError
from cultureclip.images.records import encode_image
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.judging import scores
from cultureclip.judging.judge import Judge
from cultureclip.judging.scores import list_sides, measure
from cultureclip.judging.settings import JudgeSettings
from cultureclip.judging.texts import concept_texts, embed_concepts
from cultureclip.models.encoder import load_encoder

from .conftest import Album, Tables, noise_picture

TEMPLATES = ("{name}", "{name} from {culture}", "a {universal} from {culture}: {name}")


def open_judge(path: Path, store: KeyedStore, batch: int) -> Judge:
    return Judge(JudgeSettings(judge=str(path), batch=batch), store)


@pytest.fixture
def store(tmp_path):
    return KeyedStore(tmp_path / "judgements.sqlite")


@pytest.fixture
def album(tables: Tables) -> Album:
    return Album({i: noise_picture(n) for n, i in enumerate(tables.requests["image_id"])})


def run(judge: Judge, tables: Tables, album: Album) -> pd.DataFrame:
    texts = embed_concepts(judge, concept_texts(tables.concepts, TEMPLATES, region_name))
    sides = list_sides(tables.requests, tables.captions, tables.twins)
    return measure(sides, album, judge, tables.concepts["concept_id"].tolist(), texts)


def test_measurements_equal_the_plain_computation(judge_path, store, tables, album):
    measured = run(open_judge(judge_path, store, batch=5), tables, album).set_index("image_id")
    encoder = load_encoder(judge_path)
    texts = []
    for _, c in tables.concepts.iterrows():
        culture = region_name(c["cultures"][0])
        rows = encoder.encode_texts(
            [c["name"], f"{c['name']} from {culture}", f"a {c['universal']} from {culture}: {c['name']}"]
        )
        mean = rows.mean(0)
        texts.append(mean / np.linalg.norm(mean))
    place = {c: i for i, c in enumerate(tables.concepts["concept_id"])}
    captions = tables.captions.set_index("caption_id")
    twins = tables.twins.set_index("twin_id")
    for _, request in tables.requests.iterrows():
        caption = captions.loc[request["caption_id"]]
        sides = twins.loc[caption["twin_id"], ["a_concept_id", "b_concept_id"]].tolist()
        other = sides[1 - sides.index(caption["concept_id"])]
        cosines = np.stack(texts) @ encoder.encode_images([album.pictures[request["image_id"]]])[0]
        row = measured.loc[request["image_id"]]
        assert row["twin_concept_id"] == other
        assert row["clip_similarity"] == pytest.approx(cosines[place[caption["concept_id"]]], abs=1e-5)
        assert row["twin_similarity"] == pytest.approx(cosines[place[other]], abs=1e-5)
        assert row["chance_similarity"] == pytest.approx(cosines.mean(), abs=1e-5)
        assert row["rank"] == 1 + (cosines > cosines[place[caption["concept_id"]]]).sum()


def test_of_many_images_some_are_ranked_and_all_are_compared(judge_path, store, tables, album, monkeypatch):
    judge = open_judge(judge_path, store, batch=5)
    whole = run(judge, tables, album)
    monkeypatch.setattr(scores, "RANKED", 5)
    monkeypatch.setattr(scores, "_ROWS", 3)
    some = run(judge, tables, album)
    least = set(sorted(whole["image_id"])[:5])
    assert set(some.loc[some["rank"].notna(), "image_id"]) == least
    chosen = whole["image_id"].isin(least)
    assert some.loc[chosen, "rank"].tolist() == whole.loc[chosen, "rank"].tolist()
    pd.testing.assert_frame_equal(some.drop(columns="rank"), whole.drop(columns="rank"), rtol=0, atol=1e-6)


def test_an_unchanged_run_looks_at_nothing_and_loads_no_model(judge_path, store, tables, album):
    first = run(open_judge(judge_path, store, batch=4), tables, album)
    album.reads.clear()
    again = open_judge(judge_path, store, batch=4)
    pd.testing.assert_frame_equal(run(again, tables, album), first)
    assert album.reads == []
    assert "encoder" not in vars(again)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_a_pool_of_any_size_gives_the_bits_of_one_process(judge_path, store, album, tmp_path, workers):
    settings = JudgeSettings(judge=str(judge_path), batch=5)
    one = Judge(settings, store).look_at(album, album.ids)
    pool = EngineSettings(kind="pool", workers=workers, journal=tmp_path / "jobs")
    many = Judge(settings, KeyedStore(tmp_path / "many.sqlite"), pool).look_at(album, album.ids)
    assert many.keys() == one.keys()
    for image, look in one.items():
        np.testing.assert_array_equal(many[image]["embedding"], look["embedding"])
        assert {**many[image], "embedding": 0} == {**look, "embedding": 0}


def test_a_new_concept_needs_no_second_look_at_the_images(judge_path, store, tables, album):
    run(open_judge(judge_path, store, batch=4), tables, album)
    album.reads.clear()
    new = tables.concepts.iloc[[0]].assign(concept_id="f" * 20, name="sari", cultures=[["IN"]])
    tables.concepts = pd.concat([tables.concepts, new], ignore_index=True)
    run(open_judge(judge_path, store, batch=4), tables, album)
    assert album.reads == []


def test_another_judge_looks_again(judge_path, store, tables, album, tmp_path):
    first = open_judge(judge_path, store, batch=4)
    run(first, tables, album)
    other = tmp_path / "other"
    other.mkdir()
    for file in judge_path.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = other / "open_clip_config.json"
    config.write_text(config.read_text() + "\n")
    album.reads.clear()
    second = open_judge(other, store, batch=4)
    run(second, tables, album)
    assert second.fingerprint != first.fingerprint
    assert sorted(album.reads) == sorted(tables.requests["image_id"])


def test_a_broken_or_absent_image_fails_alone_and_is_tried_again(judge_path, store, tables, album):
    whole = album.pictures.copy()
    broken, absent = tables.requests["image_id"].tolist()[:2]
    buffer = io.BytesIO()
    noise_picture(0, size=64).save(buffer, "PNG")
    album.pictures[broken] = Image.open(io.BytesIO(buffer.getvalue()[:600]))
    del album.pictures[absent]
    measured = run(open_judge(judge_path, store, batch=6), tables, album).set_index("image_id")
    assert measured.loc[broken, "fault"] == "unreadable"
    assert measured.loc[absent, "fault"] == "not_generated"
    assert measured.drop([broken, absent])["fault"].isna().all()
    assert measured["clip_similarity"].isna().sum() == 2
    album.pictures = whole
    assert run(open_judge(judge_path, store, batch=6), tables, album)["fault"].isna().all()


def test_a_disk_that_fails_is_no_unreadable_image(judge_path, store, tables, album, monkeypatch):
    def fail(_self, _ids):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Album, "read", fail)
        with pytest.raises(StorageError, match="fix the disk"):
            run(open_judge(judge_path, store, batch=6), tables, album)
    assert run(open_judge(judge_path, store, batch=6), tables, album)["fault"].isna().all()


def test_one_damaged_picture_in_a_whole_shard_fails_alone(judge_path, store, tables, album, tmp_path):
    shards = ShardStore(tmp_path / "images")
    records = [encode_image(image_id, picture, 1, {}) for image_id, picture in album.pictures.items()]
    records[0] = dataclasses.replace(records[0], width=99)
    for record in records:
        shards.write_part(record.image_id[:1], [record])
    measured = run(open_judge(judge_path, store, batch=6), tables, ImageSet(shards, list(album.pictures)))
    faults = measured.set_index("image_id")["fault"].dropna()
    assert faults.to_dict() == {records[0].image_id: "unreadable"}


def test_images_of_another_run_are_no_failures_but_a_missing_input(judge_path, store, tables, album):
    other = Album({f"other{n}": noise_picture(n) for n in range(3)})
    with pytest.raises(MissingInputError, match=r"none of the \d+ planned images.*--pipelines=synthesis"):
        run(open_judge(judge_path, store, batch=6), tables, other)


@pytest.mark.parametrize(
    ("table", "column", "named"),
    [
        ("captions", "caption_id", "captions and image_requests: of different runs: 3 of 12.*--pipelines=synthesis"),
        ("twins", "twin_id", "twins and captions: of different runs: 6 of 12.*--pipelines=captioning"),
        ("concepts", "concept_id", "concepts and captions: of different runs: 6 of 12.*--pipelines=captioning"),
    ],
)
def test_tables_of_different_runs_are_refused_before_the_judge_looks(
    judge_path, store, tables, album, table, column, named
):
    getattr(tables, table).loc[0, column] = "f" * 20
    with pytest.raises(MissingInputError, match=named):
        run(open_judge(judge_path, store, batch=6), tables, album)
    assert album.reads == []


def test_a_judge_of_nan_is_refused_by_name(judge_path, store, album, tmp_path):
    shutil.copytree(judge_path, tmp_path / "nan")
    weights = tmp_path / "nan/open_clip_model.safetensors"
    save_file({name: tensor * float("nan") for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors: the tensor \w+.* holds NaN or infinity"):
        open_judge(tmp_path / "nan", store, batch=6).look_at(album, album.ids)


def test_a_collapsed_judge_recognises_nothing(judge_path, store, tables, album):
    judge = open_judge(judge_path, store, batch=6)
    same = np.tile(judge.embed_texts(["kimono"]), (len(tables.concepts), 1))
    sides = list_sides(tables.requests, tables.captions, tables.twins)
    measured = measure(sides, album, judge, tables.concepts["concept_id"].tolist(), same)
    assert (measured["rank"] == len(tables.concepts)).all()


def test_out_of_memory_halves_the_batch_and_records_it(judge_path, store, tables, album):
    judge = open_judge(judge_path, store, batch=8)
    encode = judge.encoder.model.encode_image

    def encode_few(pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return encode(pixels)

    judge.encoder.model.encode_image = encode_few
    seen = judge.look_at(album, album.ids)
    assert len(seen) == len(album.ids)
    assert {look["batch"] for look in seen.values()} == {2}
    expected = load_encoder(judge_path).encode_images(list(album.pictures.values()))
    np.testing.assert_allclose(np.stack([seen[i]["embedding"] for i in album.ids]), expected, atol=1e-5)


def test_an_error_that_is_not_about_memory_is_not_swallowed(judge_path, store, album):
    judge = open_judge(judge_path, store, batch=8)

    def fail(pixels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not match")

    judge.encoder.model.encode_image = fail
    with pytest.raises(RuntimeError, match="shapes"):
        judge.look_at(album, album.ids)


def test_a_judge_without_weights_is_refused_by_name(tmp_path, store):
    with pytest.raises(WeightsError, match=r"no \*\.safetensors file"):
        open_judge(tmp_path, store, batch=1)


def test_a_template_with_a_culture_is_filled_for_each_culture():
    concepts = pd.DataFrame({"name": ["{name} taco"], "universal": ["dish"], "cultures": [["MX", "US"]]})
    texts = concept_texts(concepts, ("{name}", "{name} from {culture}"), region_name)
    assert texts == [["{name} taco", "{name} taco from Mexico", "{name} taco from United States"]]
