import json
import math
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import CLIPModel

from cultureclip.clip.contracts import ADAPTER_NAME, CARD_NAME, Checkpoint
from cultureclip.clip.export.checkpoint import load_adapter, open_checkpoint, save_checkpoint
from cultureclip.clip.export.huggingface import to_huggingface
from cultureclip.clip.export.peft_format import CONFIG_NAME, WEIGHTS_NAME, from_peft, to_peft
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import LoraSettings
from cultureclip.errors import StorageError, WeightsError
from cultureclip.models.encoder import load_encoder
from tests.clip.export.test_checkpoint import make_checkpoint
from tests.clip.lora.test_lora import EVERYWHERE, outputs, randomise
from tests.support.tiny_clip import write_tiny_clip

TEXTS = ["a red kimono", "taco of silk in the picture"]
QV = LoraSettings(rank=2, alpha=6, targets=("q", "v"))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_tiny_clip(tmp_path_factory.mktemp("base") / "open_clip", quick_gelu=True)


@pytest.fixture(scope="module")
def hf_base(base):
    to_huggingface(base, base.parent / "hf")
    return base.parent / "hf"


@pytest.fixture
def pixels():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def embed(model, encoder, pixels):
    """Image and text embeddings of a CLIPModel, in the order of ``outputs``."""
    with torch.no_grad():
        got = model(input_ids=encoder.tokenizer(TEXTS), pixel_values=pixels)
    return torch.cat([got.image_embeds, got.text_embeds])


def save_adapted(base, folder, lora):
    """A checkpoint whose update is large, and its model."""
    plain, _ = make_checkpoint(base)
    encoder = load_encoder(base)
    adapter = LoraAdapter(encoder.model, lora)
    randomise(adapter)
    if lora.train_temperature:
        with torch.no_grad():
            adapter.logit_scale.add_(0.5)
    card = plain.card.model_copy(update={"lora": lora, "parameters": adapter.size(), "update_scale": 0.5})
    save_checkpoint(Checkpoint(adapter.state(), card, base), folder)
    return encoder


def peft_model(hf_base, **settings):
    """A CLIPModel with a PEFT adapter whose B is not zero."""
    torch.manual_seed(3)
    config = LoraConfig(**{"r": 3, "lora_alpha": 6, "init_lora_weights": False} | settings)
    return get_peft_model(CLIPModel.from_pretrained(hf_base), config).eval()


@pytest.mark.parametrize(
    "change",
    [
        {"targets": EVERYWHERE.targets},
        {"towers": ("text",), "train_temperature": False},
        {"last_blocks": 1, "targets": ("k", "out")},
        {"towers": ("image",), "targets": ("mlp",), "last_blocks": 1},
    ],
)
def test_peft_loads_what_was_trained_here_and_it_comes_back(base, hf_base, pixels, tmp_path, change):
    lora = QV.model_copy(update=change)
    adapted = save_adapted(base, tmp_path / "out", lora)
    to_peft(tmp_path / "out", tmp_path / "peft")
    plain = CLIPModel.from_pretrained(hf_base).eval()
    before = embed(plain, adapted, pixels)
    model = PeftModel.from_pretrained(plain, tmp_path / "peft").eval()
    with torch.no_grad():
        want = outputs(adapted.model.eval(), adapted, pixels)
    torch.testing.assert_close(embed(model, adapted, pixels), want, rtol=0, atol=1e-4)
    assert float((before - want).abs().max()) > 1e-2
    assert float(plain.logit_scale.detach()) == float(adapted.model.logit_scale.detach())
    assert open_checkpoint(tmp_path / "peft").card == open_checkpoint(tmp_path / "out").card  # copied along
    from_peft(tmp_path / "peft", base, tmp_path / "back")
    there, back = (load_file(tmp_path / folder / ADAPTER_NAME) for folder in ("out", "back"))
    assert there.keys() == back.keys()
    assert all(torch.equal(there[name], back[name]) for name in there)
    assert open_checkpoint(tmp_path / "back").card.lora == lora


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"target_modules": ["q_proj", "v_proj"]}, 2.0),
        ({"target_modules": ["k_proj", "out_proj", "fc1", "fc2"], "use_rslora": True}, 6 / math.sqrt(3)),
        ({"target_modules": r"text_model.*\.(fc1|fc2)", "lora_dropout": 0.2}, 2.0),
        ({"target_modules": ["v_proj"], "layers_to_transform": [1], "layers_pattern": "layers"}, 2.0),
    ],
)
def test_what_was_trained_in_peft_is_taken_over(base, hf_base, pixels, tmp_path, settings, scale):
    model = peft_model(hf_base, **settings)
    model.save_pretrained(tmp_path / "peft")
    from_peft(tmp_path / "peft", base, tmp_path / "out")
    card = open_checkpoint(tmp_path / "out").card
    assert card.lora.scale == pytest.approx(scale)
    assert card.lora.dropout == settings.get("lora_dropout", 0)
    want = embed(model, load_encoder(base), pixels)
    encoder = load_encoder(base)
    load_adapter(tmp_path / "out", encoder)
    merged = load_encoder(open_checkpoint(tmp_path / "out").merged_path)
    with torch.no_grad():
        for ours in (encoder, merged):
            torch.testing.assert_close(outputs(ours.model, ours, pixels), want, rtol=0, atol=1e-4)
    with model.disable_adapter():
        assert float((embed(model, encoder, pixels) - want).abs().max()) > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "not plain LoRA: use_dora True"),
        ({"rank_pattern": {"q_proj": 4}}, "not plain LoRA: rank_pattern"),
        ({"bias": "all"}, "not plain LoRA: bias 'all'"),
        ({"modules_to_save": ["visual_projection"]}, "not plain LoRA: modules_to_save"),
        ({"init_lora_weights": "pissa"}, "not plain LoRA: init_lora_weights 'pissa'"),
        ({"layers_to_transform": [0], "layers_pattern": "layers"}, "not the same layers in every adapted block"),
        ({"target_modules": r"text_model.*\.q_proj|vision_model.*\.v_proj"}, "not the same layers"),
        ({"target_modules": ["fc1"]}, "not the same layers"),
        ({"target_modules": ["visual_projection"]}, "does not fit the base"),
    ],
)
def test_other_adapters_are_refused(base, hf_base, tmp_path, settings, message):
    peft_model(hf_base, **{"target_modules": ["q_proj"]} | settings).save_pretrained(tmp_path / "peft")
    with pytest.raises(WeightsError, match=message):
        from_peft(tmp_path / "peft", base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def peft_folder(hf_base, tmp_path):
    peft_model(hf_base, target_modules=["q_proj"]).save_pretrained(tmp_path / "peft")
    return tmp_path / "peft"


def test_damaged_folders_are_refused(base, peft_folder, tmp_path):
    config = json.loads((peft_folder / CONFIG_NAME).read_text())
    for content, message in (
        (json.dumps(config | {"peft_type": "IA3"}), "not plain LoRA: IA3"),
        (json.dumps({k: v for k, v in config.items() if k != "r"}), "does not fit the base"),
        (json.dumps(config | {"lora_alpha": None}), "does not fit the base"),
        (json.dumps(config | {"r": 5}), "shapes do not fit"),
        ("{", r"not a PEFT adapter's config \(not JSON"),
        ("[1]", r"not a PEFT adapter's config \(not a JSON object"),
        ("[" * 100_000, r"not a PEFT adapter's config \(.*nested too deeply"),
    ):
        (peft_folder / CONFIG_NAME).write_text(content)
        with pytest.raises(WeightsError, match=message):
            from_peft(peft_folder, base, tmp_path / "out")
    (peft_folder / CONFIG_NAME).write_text(json.dumps(config))
    tensors = load_file(peft_folder / WEIGHTS_NAME)
    (peft_folder / WEIGHTS_NAME).unlink()
    torch.save(tensors, peft_folder / "adapter_model.bin")
    with pytest.raises(WeightsError, match=r"adapter_model.bin: a pickled file.*models.weights.pickles"):
        from_peft(peft_folder, base, tmp_path / "out")
    (peft_folder / CONFIG_NAME).unlink()
    with pytest.raises(WeightsError, match="not a PEFT adapter's config"):
        from_peft(peft_folder, base, tmp_path / "out")


def test_nothing_is_overwritten(base, peft_folder, tmp_path):
    save_adapted(base, tmp_path / "out", QV)
    with pytest.raises(StorageError, match="exists already"):
        from_peft(peft_folder, base, tmp_path / "out")
    with pytest.raises(StorageError, match="exists already"):
        to_peft(tmp_path / "out", peft_folder)


def test_an_adapter_of_other_blocks_has_no_place_in_clip_model(base, tmp_path):
    save_adapted(base, tmp_path / "out", QV)
    path = tmp_path / "out" / ADAPTER_NAME
    save_file({f"visual.trunk.blocks.0.attn.qkv.q.{factor}": torch.zeros(2, 2) for factor in "ab"}, path)
    with pytest.raises(WeightsError, match=r"CLIPModel has no layer like visual.trunk.blocks.0"):
        to_peft(tmp_path / "out", tmp_path / "peft")
    shutil.rmtree(tmp_path / "out" / "merged")
    (tmp_path / "out" / CARD_NAME).unlink()
    with pytest.raises(WeightsError, match="no such card"):
        to_peft(tmp_path / "out", tmp_path / "peft")
