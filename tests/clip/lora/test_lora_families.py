"""Low-rank updates on the towers that open_clip borrows, and on some blocks of a tower only."""

import json
import re

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from open_clip.model import CLIP, CustomTextCLIP
from transformers import BertConfig, BertTokenizerFast, RobertaConfig

from cultureclip.clip.contracts import AdapterCard, Checkpoint
from cultureclip.clip.export.checkpoint import load_adapter, save_checkpoint
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.lora.merging import merge
from cultureclip.clip.settings import LoraSettings
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.encoder import CONFIG_NAME, WEIGHTS_NAME, load_encoder
from cultureclip.models.weights.checkpoint import save_atomically
from tests.clip.lora.test_lora import EVERYWHERE, randomise

TARGETS = [("q", "v"), ("k",), ("out",), ("mlp",), EVERYWHERE.targets]
SMALL_VIT = {"image_size": 16, "layers": 3, "width": 32, "patch_size": 8, "head_width": 16}
SMALL_TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}


def build_clip(**text):
    return CLIP(24, SMALL_VIT, SMALL_TEXT | text)


def build_borrowed(folder, config):
    """A timm ViT and a Hugging Face text tower, as open_clip builds them."""
    config(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=40,
    ).save_pretrained(folder)
    image = {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 160}
    text = {
        "hf_model_name": str(folder),
        "hf_model_pretrained": False,
        "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler",
    }
    return CustomTextCLIP(24, image, text)


@pytest.fixture(params=["open_clip", "bert", "roberta"])
def model(request, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        if request.param == "open_clip":
            return build_clip().eval()
        return build_borrowed(tmp_path, {"bert": BertConfig, "roberta": RobertaConfig}[request.param]).eval()


def embed(model):
    size = 16 if isinstance(model, CLIP) else 160
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, size, size, generator=generator)
    tokens = torch.randint(2, 50, (3, 12), generator=generator)
    return torch.cat([model.encode_image(pixels, normalize=True), model.encode_text(tokens, normalize=True)])


@pytest.mark.parametrize("targets", TARGETS)
def test_merged_equals_adapted_and_removal_restores_every_bit(model, targets):
    base = {name: t.clone() for name, t in model.state_dict().items()}
    lora = EVERYWHERE.model_copy(update={"targets": targets})
    with torch.no_grad():
        untouched = embed(model)
        adapter = LoraAdapter(model, lora)
        torch.testing.assert_close(embed(model), untouched, rtol=0, atol=1e-5)
        randomise(adapter)
        adapted = embed(model)
        with adapter.disabled():
            torch.testing.assert_close(embed(model), untouched, rtol=0, atol=1e-5)
        adapter.remove()
        after = model.state_dict()
        assert list(after) == list(base)
        assert all(torch.equal(after[name], base[name]) for name in base)
        assert torch.equal(embed(model), untouched)
        model.load_state_dict(merge(base, adapter.state(), lora.scale))
        torch.testing.assert_close(embed(model), adapted, rtol=0, atol=1e-5)
    assert float((adapted - untouched).abs().max()) > 1e-2


def test_no_dropout_on_a_model_that_is_not_training(model):
    adapter = LoraAdapter(model, EVERYWHERE.model_copy(update={"dropout": 0.5}))
    randomise(adapter)
    with torch.no_grad():
        assert torch.equal(embed(model), embed(model))


def test_an_update_changes_its_own_rows_alone(model):
    """q, k and v of a packed weight lie in the order that the block reads them in."""
    lora = EVERYWHERE.model_copy(update={"targets": ("k",)})
    base = {name: t.clone() for name, t in model.state_dict().items()}
    adapter = LoraAdapter(model, lora)
    randomise(adapter)
    merged = merge(base, adapter.state(), lora.scale)
    changed = {name for name in base if not torch.equal(merged[name], base[name])}
    assert len(changed) == len(list(adapter.updates()))
    for name in changed:
        if "key" not in name:  # a packed weight
            for part, (new, old) in enumerate(zip(merged[name].chunk(3), base[name].chunk(3), strict=True)):
                assert torch.equal(new, old) == (part != 1)


def test_activation_checkpointing_gives_the_same_gradient(model):
    """With dropout on: the second forward pass must draw the same masks."""
    adapter = LoraAdapter(model, EVERYWHERE.model_copy(update={"dropout": 0.3}))
    randomise(adapter)
    model.train()
    weight = torch.randn(5, 24, generator=torch.Generator().manual_seed(4))
    matrices = [p for p in adapter.parameters() if p.ndim > 1]
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.set_grad_checkpointing(True)
        torch.manual_seed(8)
        gradients.append(torch.autograd.grad((embed(model) * weight).sum(), matrices))
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, rtol=1e-5, atol=1e-7)
    assert all(float(g.abs().max()) > 0 for g in gradients[0])


@pytest.mark.parametrize("last", [1, 2])
def test_only_the_last_blocks_are_adapted(model, last):
    everywhere = LoraAdapter(model, EVERYWHERE)
    names = everywhere.state()
    everywhere.remove()
    adapter = LoraAdapter(model, EVERYWHERE.model_copy(update={"last_blocks": last}))
    state = adapter.state()
    for tower in ("visual.", "transformer." if isinstance(model, CLIP) else "text."):
        every, kept = ({int(re.search(r"\.(\d+)\.", n)[1]) for n in ns if n.startswith(tower)} for ns in (names, state))
        assert kept == set(sorted(every)[-last:])


def test_more_last_blocks_than_a_tower_has_leaves_the_model_alone(model):
    before = [type(module) for module in model.modules()]
    with pytest.raises(ConfigurationError, match=r"last_blocks 6: the (image|text) tower has [23] blocks"):
        LoraAdapter(model, LoraSettings(last_blocks=6))
    assert [type(module) for module in model.modules()] == before
    assert all(p.requires_grad for p in model.parameters())


def test_layouts_are_named(model):
    text = "open_clip" if isinstance(model, CLIP) else "bert"
    image = "open_clip" if isinstance(model, CLIP) else "timm"
    for towers, layout in (
        (("image",), image),
        (("text",), text),
        (("text", "image"), "open_clip" if isinstance(model, CLIP) else "timm+bert"),
    ):
        adapter = LoraAdapter(model, LoraSettings(towers=towers))
        assert adapter.layout == layout
        adapter.remove()


@pytest.mark.parametrize(
    "vision",
    [
        {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},  # ModifiedResNet
        SMALL_VIT | {"qk_norm": True},  # open_clip's CustomResidualAttentionBlock
        {
            "timm_model_name": "eva02_tiny_patch14_224",
            "timm_pool": "token",
            "image_size": 224,
        },  # reads qkv.weight itself
    ],
)
def test_towers_of_other_blocks_are_refused(vision):
    model = CLIP(24, vision, SMALL_TEXT)
    with pytest.raises(ConfigurationError, match="image tower: has no blocks of a known family"):
        LoraAdapter(model, LoraSettings())
    assert LoraAdapter(model, LoraSettings(towers=("text",))).size() > 0


def test_an_adapted_model_is_not_adapted_twice(model):
    LoraAdapter(model, EVERYWHERE)
    with pytest.raises(ConfigurationError, match="no blocks"):
        LoraAdapter(model, LoraSettings())


def test_weights_of_another_base_are_refused():
    adapter = LoraAdapter(build_clip(), LoraSettings())
    with pytest.raises(WeightsError, match="the base has no such weight"):
        merge({"logit_scale": torch.zeros(())}, adapter.state(), 1.0)


def test_a_directory_with_borrowed_towers_is_tuned_and_saved(tmp_path):
    """From the files on disk to the merged files on disk; the text tower's config lies beside its tokenizer."""
    base, half = tmp_path / "base", [0.5, 0.5, 0.5]
    model = build_borrowed(base, BertConfig)
    model_config = {
        "embed_dim": 24,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 160},
        "text_cfg": {
            "hf_model_name": str(base),
            "hf_tokenizer_name": "local",
            "hf_proj_type": "linear",
            "context_length": 12,
            "vocab_size": 50,
        },
    }
    described = {"model_cfg": model_config, "preprocess_cfg": {"mean": half, "std": half}}
    (base / CONFIG_NAME).write_text(json.dumps(described))
    save_atomically(model.state_dict(), base / WEIGHTS_NAME)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(base)
    encoder = load_encoder(base)
    adapter = LoraAdapter(encoder.model, EVERYWHERE)
    randomise(adapter)
    card = AdapterCard(
        layout=adapter.layout,
        base=str(base),
        base_fingerprint=encoder.fingerprint,
        objective="clip",
        seed=0,
        lora=EVERYWHERE,
        parameters=adapter.size(),
        step=0,
        selected_by="last",
        training_key="",
    )
    save_checkpoint(Checkpoint(adapter.state(), card, base), tmp_path / "out")
    merged, loaded = load_encoder(tmp_path / "out" / "merged"), load_encoder(base)
    load_adapter(tmp_path / "out", loaded)
    want = encoder.encode_texts(["a b c", "d"])
    with torch.no_grad():
        for other in (merged, loaded):
            assert_allclose(other.encode_texts(["a b c", "d"]), want, rtol=0, atol=1e-5)
            torch.testing.assert_close(embed(other.model), embed(encoder.model), rtol=0, atol=1e-5)
    assert float(np.abs(load_encoder(base).encode_texts(["a b c", "d"]) - want).max()) > 1e-2
