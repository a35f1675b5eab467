"""The judge of attribution: what an image shows decides about its culture, and no grade is made up."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from cultureclip.concepts.looks import open_image
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.ids import concept_id, digest
from cultureclip.judging.attribution import judge
from cultureclip.judging.panel import Material, ask_judges
from cultureclip.judging.settings import PanelSettings
from tests.support.chat_server import chat_server, completion
from tests.support.tiny_clip import write_tiny_clip

QUESTION = "Thing: {entity}\nAbout it: {text}\nCulture: {label}"
PROMPT = {"system": "Grade.", "templates": {"written": QUESTION, "digit": QUESTION}}
THINGS = {
    "kimono": (["JP"], "A wrapped robe of Japan."),
    "hanbok": (["KR", "KP"], "A dress of Korea, South and North."),
    "haori": (["JP"], ""),
}
IDS = {name: concept_id(name, cultures, "Clothing") for name, (cultures, _) in THINGS.items()}
SHOWN = ("kimono", "kimono", "hanbok", "kimono", "haori", "kimono")
ASKED = ("kimono", "hanbok", "hanbok", "kimono", "haori", "kimono")
"""What each image shows, and what it was asked for; the fourth one cannot be read, the last one was not drawn."""
IMAGES = [digest("image", place) for place in range(len(SHOWN))]


class Album:
    """Files by image id; the fourth is damaged."""

    def __init__(self, folder: Path) -> None:
        self.files = {image: folder / f"{thing}.png" for image, thing in zip(IMAGES, SHOWN, strict=True)}
        self.files[IMAGES[3]] = folder / "damaged.png"

    @property
    def ids(self):
        return IMAGES

    def read(self, ids):
        return [open_image(str(self.files[one])) for one in ids]

    def checksums(self, ids):
        return [digest(self.files[one].read_bytes().hex()) for one in ids]


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed, name in enumerate(THINGS):
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "kimono.png").read_bytes()[:200])
    return tmp_path


def material(folder: Path) -> Material:
    concepts = pd.DataFrame(
        {
            "concept_id": list(IDS.values()),
            "name": list(THINGS),
            "cultures": [cultures for cultures, _ in THINGS.values()],
            "context": [text for _, text in THINGS.values()],
            "reference_image": [str(folder / f"{name}.png") for name in THINGS],
        }
    )
    measured = pd.DataFrame(
        {
            "image_id": IMAGES,
            "caption_id": IMAGES,
            "concept_id": [IDS[name] for name in ASKED],
            "fault": [None] * 5 + ["not_generated"],
        }
    )
    return Material(measured, Album(folder), concepts, KeyedStore(folder / "store.sqlite"), {}, PROMPT)


def panel(server, folder: Path, **changes) -> PanelSettings:
    how = {
        "encoder": str(write_tiny_clip(folder / "encoder")),
        "language_model": {"servers": [server.url], "model": "small", "revision": "r1"},
        "neighbours": 1,  # a random encoder tells pictures apart, and names do not fit them
        "grade": "generated",
        "tries": 1,
    }
    judges = {"decide": ["attribution"], "combine": "all"}
    return PanelSettings(twin_margin=0, chance_margin=0, judges=judges, attribution=how | changes)


def grade_truly(handler, body):
    """5 where the text about the thing names the culture; prose for North Korea; else 1."""
    fields = dict(line.split(": ", 1) for line in body["messages"][-1]["content"].splitlines() if ": " in line)
    known = {"Japan": "of Japan" in fields["About it"], "South Korea": "of Korea" in fields["About it"]}
    said = json.dumps({"score": 5 if known.get(fields["Culture"]) else 1, "reason": "as I know"})
    handler.send(json.dumps(completion("well" if fields["Culture"] == "North Korea" else said)).encode())


def test_an_image_is_judged_by_what_it_shows_and_not_by_what_was_asked_for(folder):
    with chat_server(grade_truly) as server:
        given, settings = material(folder), panel(server, folder)
        found = judge(given, settings)
        asked = {line for _, _, body in server.seen for line in body["messages"][-1]["content"].splitlines()}
        opinions = ask_judges(given, settings)
        assert given.attribution_usage.kept >= given.attribution_usage.asked > 0, "nothing is asked twice"
    assert found["reason"].where(found["reason"].notna(), None).tolist() == [
        None,
        "other_culture",
        None,
        "not_graded",
        "not_graded",
        None,
    ]
    assert found["entity_id"].tolist()[:3] == [IDS["kimono"], IDS["kimono"], IDS["hanbok"]]
    assert found["culture_grade"].iloc[:3].tolist() == [5, 1, 5]
    assert found["culture_grade"].iloc[3:].isna().all()
    assert {line for line in asked if line.startswith("Culture")} == {
        f"Culture: {name}" for name in ("Japan", "South Korea", "North Korea")
    }
    assert opinions["verdict"].tolist() == ["accepted", "rejected", "accepted", "failed", "failed", "failed"]
    assert opinions["reason"].iloc[5] == "not_generated"


def test_the_least_grade_decides(folder):
    with chat_server(grade_truly) as server:
        found = judge(material(folder), panel(server, folder, min_grade=1))
    assert (found["reason"] == "other_culture").sum() == 0


def test_a_server_gives_no_probabilities_and_so_no_grade_by_them(folder):
    with chat_server(grade_truly) as server, pytest.raises(ValidationError, match="servers do not give"):
        panel(server, folder, grade="expected")


def test_a_judge_without_settings_stops_before_any_work():
    with pytest.raises(ValidationError, match="attribution decides, but attribution does not say"):
        PanelSettings(twin_margin=0, chance_margin=0, judges={"decide": ["attribution"], "combine": "all"})
