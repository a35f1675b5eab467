"""An exported model: the weights of the training at its scale, and a card whose figures are those of the tables."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import yaml
from kedro.io import DatasetError
from peft import PeftModel
from transformers import CLIPModel

from cultureclip.clip.export.checkpoint import open_checkpoint, save_checkpoint, save_scaled
from cultureclip.clip.settings import RunSettings
from cultureclip.datasets.folder_dataset import FolderDataset
from cultureclip.errors import ConfigurationError, MissingInputError, SourceDataError
from cultureclip.exchange.checksums import check_finished
from cultureclip.exchange.model_facts import published_base
from cultureclip.models.encoder import load_encoder
from cultureclip.pipelines.export_model.nodes import describe_data, describe_scores, export_model
from cultureclip.pipelines.export_model.parameters import ExportModelParameters
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.exchange.test_export import make_concepts, make_rows
from tests.support.report_data import SCALED, score
from tests.support.tiny_clip import write_tiny_clip

VERSION = "2026-11-28T10.00.00.000Z"
MODEL = "cultureclip_s1"
CARDS = [
    {"name": "crope", "title": "CROPE | pocket", "status": "ready"},
    {"name": "general-retrieval", "title": "General retrieval", "status": "ready"},
    {"name": "culturalvqa", "title": "CulturalVQA", "status": "absent"},
]
LEAKS = {"training_images": 12, "held_out_images": 1234, "leaks": 0}


def parameters(**changes: object) -> ExportModelParameters:
    usual = {"name": "my-clip", "training": MODEL, "licence": "cc-by-sa-4.0", "formats": ["transformers", "peft"]}
    return ExportModelParameters.model_validate(usual | changes)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret-home")
    made, _ = make_checkpoint(write_tiny_clip(folder / "tiny-base"))
    card = made.card.model_copy(update={"settings": RunSettings(), "licence": ["CC-BY-SA-4.0"]})
    for name in (MODEL, "cultureclip_s2"):
        save_checkpoint(dataclasses.replace(made, card=card), folder / name / VERSION / "checkpoint")
    return {name: open_checkpoint(folder / name / VERSION / "checkpoint") for name in (MODEL, "cultureclip_s2")}


def logs(train: int = 4, dev: int = 2, unreadable: int = 0) -> dict[str, list[dict[str, int]]]:
    return {MODEL: [{"train_rows": train, "dev_rows": dev, "unreadable_images": unreadable}]}


def evaluation_run(version: str = VERSION) -> dict[str, object]:
    settings = {"general_benchmarks": ["general-retrieval"]}
    loaded = {f"checkpoint_{MODEL}": version}
    return {
        "run_id": "r1",
        "models": {"synthesis.model": {"spec": "painter"}},
        "git": {"commit": "abc123"},
        "settings": settings,
        "load_versions": loaded,
    }


def captions(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"caption_id": rows["pos_caption_id"], "model": "a|writer"})


def gather(checkpoints, own=None, rows=None, abilities=None, run=None):
    own, rows = own or parameters(), make_rows() if rows is None else rows
    tables = score(SCALED)
    told = tables["abilities"] if abilities is None else abilities
    return (
        describe_data(rows, make_concepts(), captions(rows), run or evaluation_run(), own, **logs()),
        describe_scores(tables["scores"], told, CARDS, LEAKS, run or evaluation_run(), own, **checkpoints),
        run or evaluation_run(),
        own,
    )


@pytest.fixture(scope="module")
def exported(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "model"
    export_model(*gather(checkpoints, parameters(training=f"{MODEL}@0.50")), **checkpoints).write(folder)
    return folder


def test_the_weights_are_the_training_at_its_scale_for_every_library(checkpoints, exported, tmp_path):
    base = Path(checkpoints[MODEL].card.base)
    save_scaled(checkpoints[MODEL], base, 0.5, tmp_path / "half")
    expected, texts = load_encoder(tmp_path / "half"), ["a red kimono", "taco"]
    model = open_clip.create_model(f"local-dir:{exported}").eval()
    for name, tensor in expected.model.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], tensor)
    assert load_encoder(exported).fingerprint == expected.fingerprint
    clip = CLIPModel.from_pretrained(exported, subfolder="transformers").eval()
    tokens = expected.tokenizer(texts)
    found = clip.get_text_features(tokens)
    found = getattr(found, "pooler_output", found).detach()
    np.testing.assert_allclose(found / found.norm(dim=-1, keepdim=True), expected.encode_texts(texts), atol=1e-4)
    assert PeftModel.from_pretrained(clip, exported / "peft").peft_config["default"].r == 2
    assert len(check_finished(exported)) > 8


def test_every_score_of_the_card_is_the_tables(exported):
    card = (exported / "README.md").read_text()
    scores = score(SCALED)["scores"]
    test = scores[(scores["part"] == "test") & (scores["model"] == f"{MODEL}@0.50") & (scores["reference"] == "base")]
    lines = [line for line in card.splitlines() if re.match(r"\| (CROPE|General retrieval)", line)]
    assert len(lines) == len(test) > 2
    for row, line in zip(test.to_dict("records"), lines, strict=True):
        for low, value, high in (("ci_low", "value", "ci_high"), ("diff_low", "difference", "diff_high")):
            sign = "+" if value == "difference" else ""
            figures = [f"{100 * row[name]:{sign}.1f}" for name in (value, low, high)]
            assert "{} ({} to {})".format(*figures) in line
        assert f"| {row['metric']} | {row['n']} ({row['clusters']}) |" in line
    abilities = score(SCALED)["abilities"].set_index(["part", "model"]).loc[("test", f"{MODEL}@0.50")]
    assert f"| General ability | {100 * (abilities['general'] - abilities['general_change']):.1f} | " in card
    assert f"{100 * abilities['general_change']:+.1f} ({100 * abilities['general_change_low']:+.1f} to " in card


def test_the_card_has_a_header_and_every_section_and_no_home_folder(exported):
    card = (exported / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert (header["license"], header["library_name"]) == ("cc-by-sa-4.0", "open_clip")
    assert "base_model" not in header
    sections = re.findall(r"^## (.+)$", card, re.MULTILINE)
    assert sections == ["Use", "Base", "Data", "Training", "Scores", "Forgetting", "Limits", "Check"]
    for said in ("tiny-base", "CROPE \\| pocket", "CulturalVQA (absent)", "painter", "a\\|writer", "one of 2 trained"):
        assert said in card
    everything = b"".join(path.read_bytes() for path in exported.rglob("*.json")) + card.encode()
    assert b"secret-home" not in everything
    assert open_checkpoint_card(exported)["update_scale"] == 0.5


def open_checkpoint_card(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "adapter/card.json").read_text())


def test_a_table_without_general_ability_is_said_to_be_one(checkpoints):
    none = score(SCALED)["abilities"].iloc[:0]
    folder = export_model(*gather(checkpoints, abilities=none), **checkpoints)
    from cultureclip.exchange.model_card import write_model_card

    text = write_model_card(folder.checkpoint.card, folder.facts, folder.settings)
    assert "General ability was not measured" in text


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"own": parameters(licence=None)}, ConfigurationError, "export_model.licence: missing"),
        ({"own": parameters(training="cultureclip_s9")}, ConfigurationError, "there are cultureclip_s1"),
        ({"own": parameters(training=f"{MODEL}@0.30")}, SourceDataError, "no score of cultureclip_s1@0.30"),
        ({"run": evaluation_run("2026-11-01T00.00.00.000Z")}, SourceDataError, "the newest checkpoint is 2026-11-28"),
        ({"rows": make_rows(3)}, SourceDataError, "was trained on"),
        ({"rows": make_rows().assign(pos_concept_id="unknown")}, MissingInputError, "unknown and 0 more"),
    ],
)
def test_what_a_card_needs_stops_the_export_when_it_is_missing(checkpoints, change, error, said):
    with pytest.raises(error, match=re.escape(said)):
        gather(checkpoints, **change)


@pytest.mark.parametrize("field", ["settings", "scores"])
def test_a_field_that_is_missing_leaves_no_folder(checkpoints, tmp_path, field):
    made = export_model(*gather(checkpoints), **checkpoints)
    card = made.checkpoint.card.model_copy(update={"settings": None}) if field == "settings" else made.checkpoint.card
    facts = dataclasses.replace(made.facts, scores=[]) if field == "scores" else made.facts
    checkpoint = dataclasses.replace(made.checkpoint, card=card)
    dataset = FolderDataset(filepath=str(tmp_path / "model"), entry="README.md")
    with pytest.raises(DatasetError, match=f"card of my-clip: {field}"):
        dataset.save(dataclasses.replace(made, checkpoint=checkpoint, facts=facts))
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_export_leaves_no_version(checkpoints, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    dataset = FolderDataset(filepath=str(tmp_path / "model"), entry="README.md")
    monkeypatch.setattr("cultureclip.exchange.model_folder.write_checksums", stop)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(export_model(*gather(checkpoints, parameters(formats=[])), **checkpoints))
    assert list(tmp_path.iterdir()) == []


def test_another_base_is_refused(checkpoints, tmp_path):
    other = write_tiny_clip(tmp_path / "other", seed=5)
    card = checkpoints[MODEL].card.model_copy(update={"base": str(other)})
    moved = checkpoints | {MODEL: dataclasses.replace(checkpoints[MODEL], card=card)}
    with pytest.raises(ConfigurationError, match="is not what cultureclip_s1 was tuned from"):
        export_model(*gather(checkpoints), **moved)


@pytest.mark.parametrize(
    ("base", "published"),
    [
        ("hf:openai/clip-vit-base-patch32@3d74acf", "openai/clip-vit-base-patch32"),
        ("package:cultureclip/pocket/weights/base_clip", "package:cultureclip/pocket/weights/base_clip"),
        ("/home/me/models/vit-b-32/", "vit-b-32"),
        (r"C:\Users\me\vit", "vit"),
    ],
)
def test_a_base_is_named_without_the_folders_above_it(checkpoints, base, published):
    assert published_base(checkpoints[MODEL].card.model_copy(update={"base": base})) == published
