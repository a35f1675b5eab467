"""The judges of text, safety and likeness: small models from packages, and the encoder's embeddings."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.judging import safety, text
from cultureclip.judging import settings as settings_module
from cultureclip.judging.judge import Judge
from cultureclip.judging.panel import Material, ask_judges
from cultureclip.judging.settings import JudgeSettings, Panel, PanelSettings

from .conftest import Album, noise_picture


def written(words: str, size: tuple[int, int] = (320, 160)) -> Image.Image:
    picture = Image.new("RGB", size, (240, 230, 200))
    ImageDraw.Draw(picture).text((20, 60), words, fill=(20, 20, 60), font_size=30)
    return picture


def rules(*decide: str, **more: object) -> PanelSettings:
    return PanelSettings(judges={"decide": decide, "combine": "all"}, twin_margin=0, chance_margin=0, **more)


def material(pictures: dict[str, Image.Image], store: KeyedStore, concepts: list[str], **more: object) -> Material:
    fault = pd.Series([None] * len(pictures), dtype=object)
    measured = pd.DataFrame({"image_id": list(pictures), "caption_id": "c", "concept_id": concepts, "fault": fault})
    return Material(measured, Album(pictures), pd.DataFrame(), store, {}, {}, **more)


@pytest.fixture
def store(tmp_path):
    return KeyedStore(tmp_path / "answers.sqlite")


def test_text_in_a_picture_is_read_and_refused(store):
    pictures = {"a": written("STOCK 2041"), "b": written(""), "c": noise_picture(1, 20), "d": written("x")}
    found = ask_judges(material(pictures, store, ["k"] * 4), rules("text")).set_index("image_id")
    assert "STOCK" in found.loc["a", "text"]
    assert found["reason"].isna().tolist() == [False, True, True, True]
    assert found.loc["a", "reason"] == "text_in_picture"
    lenient = ask_judges(material(pictures, store, ["k"] * 4), rules("text", text={"min_letters": 40}))
    assert lenient["reason"].isna().all()


def test_what_was_read_once_is_kept(store, monkeypatch):
    pictures = {"a": written("STOCK 2041"), "b": written("")}
    first = ask_judges(material(pictures, store, ["k"] * 2), rules("text"))
    monkeypatch.setattr(text, "_reader", None)
    again = material(pictures, store, ["k"] * 2)
    pd.testing.assert_frame_equal(first, ask_judges(again, rules("text")))
    assert again.images.reads == []


def test_a_harmless_picture_is_safe(store):
    found = ask_judges(material({"a": written("a"), "b": noise_picture(2, 64)}, store, ["k"] * 2), rules("safety"))
    assert found["safety"].tolist() == [1.0, 1.0]
    assert (found["verdict"] == "accepted").all()


def test_exposed_parts_refuse_and_bare_feet_do_not(store, monkeypatch):
    parts = {0: [("FEMALE_BREAST_EXPOSED", 0.9)], 1: [("FEET_EXPOSED", 0.95)], 2: [("ANUS_EXPOSED", 0.3)], 3: []}

    class Detector:
        def detect(self, pixels):
            return [{"class": name, "score": score} for name, score in parts[int(pixels[0, 0, 0])]]

    monkeypatch.setattr(safety, "_detector", Detector)
    pictures = {f"i{n}": Image.new("RGB", (8, 8), (0, 0, n)) for n in parts}
    found = ask_judges(material(pictures, store, ["k"] * 4), rules("safety"))
    assert found["safety"].round(3).tolist() == [0.1, 1.0, 0.7, 1.0]
    assert found["reason"].tolist()[0] == "unsafe"
    assert found["reason"].isna().tolist() == [False, True, True, True]


def test_an_image_like_another_concepts_is_refused_with_it(store, judge_path):
    base = {f"i{n}": noise_picture(n) for n in range(6)}
    base["i3"] = base["i0"]  # of another concept
    base["i5"] = base["i4"]  # of the same concept: not this judge's business
    encoder = Judge(JudgeSettings(judge=str(judge_path), batch=8), store)
    given = material(base, store, ["a", "a", "b", "b", "c", "c"], encoder=encoder)
    vectors = encoder.look_at(given.images, base)
    strict = rules("distinct", distinct={"max_similarity": 0.999999})
    found = ask_judges(given, strict).set_index("image_id")
    assert found["reason"].dropna().to_dict() == dict.fromkeys(["i0", "i3"], "like_another_concept")
    assert found.loc[["i0", "i3"], "duplicate_of"].tolist() == ["i3", "i0"]
    concepts = given.measured.set_index("image_id")["concept_id"]
    for image in base:
        others = [other for other in base if concepts[other] != concepts[image]]
        nearest = max(float(np.dot(vectors[image]["embedding"], vectors[other]["embedding"])) for other in others)
        assert found.loc[image, "near_similarity"] == pytest.approx(nearest, abs=1e-5)


def test_of_many_images_those_that_are_too_near_are_found_and_only_they_are_measured(store, judge_path):
    base = {f"i{n}": noise_picture(n) for n in range(6)}
    base["i3"] = base["i0"]
    encoder = Judge(JudgeSettings(judge=str(judge_path), batch=8), store)
    given = material(base, store, ["a", "a", "b", "b", "c", "c"], encoder=encoder)
    found, all_measured = (
        ask_judges(given, rules("distinct", distinct={"max_similarity": 0.999, "measured_up_to": limit}))
        for limit in (5, 6)
    )
    assert found[["reason", "duplicate_of", "verdict"]].equals(all_measured[["reason", "duplicate_of", "verdict"]])
    near = found["reason"].notna()
    assert np.allclose(found["near_similarity"][near], all_measured["near_similarity"][near], atol=1e-5)
    assert near.sum() == 2 and found["near_similarity"][~near].isna().all()
    assert all_measured["near_similarity"].notna().all()


def test_one_concept_alone_is_like_no_other(store, judge_path):
    encoder = Judge(JudgeSettings(judge=str(judge_path), batch=8), store)
    given = material({"a": noise_picture(1), "b": noise_picture(1)}, store, ["k", "k"], encoder=encoder)
    assert ask_judges(given, rules("distinct"))["reason"].isna().all()


def test_a_judge_whose_package_is_missing_is_refused_at_once(monkeypatch):
    monkeypatch.setattr(settings_module, "find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"safety needs the package nudenet: pip install 'cultureclip\[checks\]'"):
        Panel(decide=("clip", "safety"), combine="all")
    assert Panel(decide=("clip",), combine="all")
