import json
import shlex
from dataclasses import replace

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from cultureclip.clip.contracts import ADAPTER_NAME, CARD_FORMAT, CARD_NAME, AdapterCard, Checkpoint
from cultureclip.clip.export.checkpoint import load_adapter, open_checkpoint, save_checkpoint
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import LoraSettings
from cultureclip.errors import WeightsError
from cultureclip.models.encoder import load_encoder
from cultureclip.models.weights.pickles import main
from tests.clip.lora.test_lora import outputs, randomise
from tests.support.tiny_clip import write_tiny_clip

LORA = LoraSettings(rank=2, targets=("q", "v", "out", "mlp"))


def make_checkpoint(base, update_scale=1.0):
    encoder = load_encoder(base)
    adapter = LoraAdapter(encoder.model, LORA)
    randomise(adapter)
    card = AdapterCard(
        base=str(base),
        base_fingerprint=encoder.fingerprint,
        objective="cultureclip",
        seed=1,
        lora=LORA,
        update_scale=update_scale,
        parameters=adapter.size(),
        step=7,
        selected_by="last",
        training_key="0" * 20,
    )
    return Checkpoint(adapter.state(), card, base), encoder


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_open_clip_alone_loads_the_tuned_model(tmp_path, quick_gelu):
    base = write_tiny_clip(tmp_path / "base", quick_gelu=quick_gelu)
    checkpoint, adapted = make_checkpoint(base)
    save_checkpoint(checkpoint, tmp_path / "out")
    merged = open_checkpoint(tmp_path / "out").merged_path
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{merged}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{merged}")
    pixels = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    tokens = tokenizer(["a red kimono", "taco of silk in the picture"])
    assert torch.equal(tokens, adapted.tokenizer(["a red kimono", "taco of silk in the picture"]))
    assert str(preprocess.transforms[-1]) == str(adapted.preprocess.transforms[-1])
    with torch.no_grad():
        want = outputs(adapted.model.eval(), adapted, pixels)
        alone = [model.eval().encode_image(pixels, normalize=True), model.encode_text(tokens, normalize=True)]
    torch.testing.assert_close(torch.cat(alone), want, rtol=0, atol=1e-5)
    plain = load_encoder(base)
    with torch.no_grad():
        assert float((outputs(plain.model, plain, pixels) - want).abs().max()) > 1e-2


def test_adapter_comes_back_onto_its_base(base_folder, tmp_path):
    checkpoint, adapted = make_checkpoint(base_folder)
    save_checkpoint(checkpoint, tmp_path / "out")
    fresh = load_encoder(base_folder)
    load_adapter(tmp_path / "out", fresh)
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        want = outputs(adapted.model.eval(), adapted, pixels)
        assert torch.equal(outputs(fresh.model, fresh, pixels), want)


def test_adapter_of_another_base_is_refused(base_folder, tmp_path):
    save_checkpoint(make_checkpoint(base_folder)[0], tmp_path / "out")
    other = load_encoder(write_tiny_clip(tmp_path / "other", seed=9))
    with pytest.raises(WeightsError, match="trained on the base"):
        load_adapter(tmp_path / "out", other)


def test_update_scale_zero_exports_the_base(base_folder, tmp_path):
    save_checkpoint(make_checkpoint(base_folder, update_scale=0.0)[0], tmp_path / "out")
    base, merged = load_encoder(base_folder), load_encoder(tmp_path / "out" / "merged")
    for name, tensor in base.model.state_dict().items():
        assert torch.equal(tensor, merged.model.state_dict()[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "newer"),
        ({"format": CARD_FORMAT + 1, "a_field_of_tomorrow": 1, "objective": None}, "newer than .*Update"),
        ({"rank": 4}, "not an adapter's card"),
        ({"objective": None}, "not an adapter's card"),
    ],
)
def test_wrong_cards_are_refused(base_folder, tmp_path, change, message):
    save_checkpoint(make_checkpoint(base_folder)[0], tmp_path / "out")
    path = tmp_path / "out" / CARD_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=message):
        open_checkpoint(tmp_path / "out")


def test_damaged_adapter_is_refused(base_folder, tmp_path):
    save_checkpoint(make_checkpoint(base_folder)[0], tmp_path / "out")
    path = tmp_path / "out" / ADAPTER_NAME
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_adapter(tmp_path / "out", load_encoder(base_folder))
    with pytest.raises(WeightsError, match="no such card"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000])
def test_cards_that_are_no_card_are_refused(tmp_path, content):
    (tmp_path / CARD_NAME).write_bytes(content)
    with pytest.raises(WeightsError, match="not an adapter's card"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("version", [1, 2])
def test_a_card_of_an_older_version_is_still_read(base_folder, tmp_path, version):
    save_checkpoint(make_checkpoint(base_folder)[0], tmp_path / "out")
    path = tmp_path / "out" / CARD_NAME
    card = json.loads(path.read_text()) | {"format": version, "objective_settings": {"lambda_caption": 0.7}}
    card.pop("settings")
    if version == 1:
        card.pop("layout")
        card["lora"].pop("last_blocks")
    path.write_text(json.dumps(card))
    load_adapter(tmp_path / "out", load_encoder(base_folder))


@pytest.mark.parametrize(("name", "legacy"), [("adapter.pt", False), ("adapter.bin", True), (ADAPTER_NAME, False)])
def test_a_pickled_adapter_is_refused_with_the_way_to_convert_it(base_folder, tmp_path, name, legacy):
    save_checkpoint(make_checkpoint(base_folder)[0], tmp_path / "out")
    path = tmp_path / "out" / ADAPTER_NAME
    tensors = load_file(path)
    path.unlink()
    torch.save(tensors, tmp_path / "out" / name, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="pickled") as refusal:
        load_adapter(tmp_path / "out", load_encoder(base_folder))
    _, _, arguments = refusal.value.remedy.partition("python -m cultureclip.models.weights.pickles ")
    assert main(shlex.split(arguments)) == 0
    load_adapter(tmp_path / "out", load_encoder(base_folder))


def test_an_adapter_named_after_other_blocks_is_refused(base_folder, tmp_path):
    checkpoint, _ = make_checkpoint(base_folder)
    card = checkpoint.card.model_copy(update={"layout": "timm+bert"})
    save_checkpoint(replace(checkpoint, card=card), tmp_path / "out")
    encoder = load_encoder(base_folder)
    before = [type(module) for module in encoder.model.modules()]
    with pytest.raises(WeightsError, match="layout timm"):
        load_adapter(tmp_path / "out", encoder)
    assert [type(module) for module in encoder.model.modules()] == before
