"""Towers that run only on what is pooled give the embeddings and gradients of open_clip's own."""

import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.transformer import QuickGELU
from torch import nn
from transformers import BertConfig

from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import LoraSettings
from cultureclip.clip.towers.blocks import quick_gelu
from cultureclip.clip.towers.embedding import embed_image_pooled, embed_text_pooled, pools_one_image_token
from cultureclip.models.text_tower import pool_positions
from tests.clip.lora.test_lora import EVERYWHERE, randomise
from tests.clip.lora.test_lora_families import build_borrowed

VIT = {"image_size": 16, "layers": 3, "width": 32, "patch_size": 8, "head_width": 16, "ls_init_value": 0.7}
TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 3, "ls_init_value": 0.6}
END = 49
LENGTHS = (3, 12, 5, 2, 7)


def build(quick_gelu=True, vision=None, **text):
    torch.manual_seed(5)
    return CLIP(24, VIT | (vision or {}), TEXT | text, quick_gelu=quick_gelu)


def make_texts(seed=0):
    """Texts of several lengths, each ended by the end token, with different tokens in the place of padding."""
    tokens = torch.randint(2, END, (len(LENGTHS), 12), generator=torch.Generator().manual_seed(seed))
    tokens[torch.arange(len(LENGTHS)), torch.tensor(LENGTHS) - 1] = END
    return tokens


def make_pixels(size=16):
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))


def gradients(model, adapter, embed):
    """The embeddings, and the gradient of a sum over them that weighs every entry differently."""
    learned = [p for p in adapter.parameters() if p.ndim > 1]
    embedded = embed(model)
    weights = torch.randn(embedded.shape, generator=torch.Generator().manual_seed(2))
    return embedded, torch.autograd.grad((embedded * weights).sum(), learned)


def whole(model, size=16):
    return torch.cat([model.encode_image(make_pixels(size)), model.encode_text(make_texts())])


def pooled(model, size=16):
    return torch.cat([embed_image_pooled(model, make_pixels(size)), embed_text_pooled(model, make_texts())])


def assert_same(model, lora=EVERYWHERE, size=16):
    adapter = LoraAdapter(model, lora)
    randomise(adapter)
    model.train()
    expected, slopes = gradients(model, adapter, lambda m: whole(m, size))
    found, own = gradients(model, adapter, lambda m: pooled(m, size))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    for one, other in zip(own, slopes, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())
        assert float(other.abs().max()) > 0


@pytest.mark.parametrize("gelu", [True, False])
@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("out",), ("mlp",), EVERYWHERE.targets])
def test_the_gradient_is_that_of_the_whole_towers(targets, gelu):
    assert_same(build(gelu), EVERYWHERE.model_copy(update={"targets": targets}))


@pytest.mark.parametrize(
    ("vision", "text"),
    [
        ({}, {"pool_type": "eos", "eos_id": END}),
        ({}, {"pool_type": "last"}),
        ({}, {"pool_type": "first", "no_causal_mask": True}),
        ({}, {"pool_type": "last", "no_causal_mask": True}),
        ({}, {"proj_bias": True}),
        ({"final_ln_after_pool": True, "no_ln_pre": True}, {}),
        ({"pool_type": "avg"}, {}),
        ({"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 2}, {}),
        ({"qk_norm": True}, {"qk_norm": True, "block_type": "custom"}),
    ],
)
def test_every_way_to_pool(vision, text):
    custom = "qk_norm" in vision
    model = build(vision=vision, **text)
    if custom:  # such blocks hold no projections that an adapter knows: nothing but the values can be compared
        with torch.no_grad():
            torch.testing.assert_close(pooled(model), whole(model))
        return
    assert_same(model)


def test_borrowed_towers_run_whole(tmp_path):
    model = build_borrowed(tmp_path, BertConfig)
    with torch.no_grad():
        assert torch.equal(pooled(model.eval(), 160), whole(model, 160))


@pytest.mark.parametrize("last", [1, 2])
def test_blocks_without_an_adapter_and_frozen_towers(last):
    assert_same(build(), EVERYWHERE.model_copy(update={"last_blocks": last}))
    for tower in ("image", "text"):
        assert_same(build(), EVERYWHERE.model_copy(update={"towers": (tower,)}))


def test_the_adapter_can_be_switched_off():
    model = build()
    with torch.no_grad():
        untouched = pooled(model)
        adapter = LoraAdapter(model, EVERYWHERE)
        randomise(adapter)
        changed = pooled(model)
        with adapter.disabled():
            torch.testing.assert_close(pooled(model), untouched)
    assert float((changed - untouched).abs().max()) > 1e-2


def count_rows(model):
    """Rows that the MLP of each block of a tower sees, image tower first."""
    seen = []
    for tower in (model.visual.transformer, model.transformer):
        for block in tower.resblocks:
            block.mlp.c_fc.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[:-1].numel()))
    pooled(model)
    return seen


def test_the_last_block_is_run_for_the_pooled_tokens_and_no_padding_anywhere():
    pictures, patches, tokens = 3, 5, sum(LENGTHS)
    assert count_rows(build()) == [pictures * patches] * 2 + [pictures] + [tokens] * 2 + [len(LENGTHS)]


def test_activation_checkpointing_gives_the_same_gradient():
    """With dropout on: the second forward pass must draw the same masks."""
    model = build()
    adapter = LoraAdapter(model, EVERYWHERE.model_copy(update={"dropout": 0.3}))
    randomise(adapter)
    model.train()
    found = []
    for checkpointing in (False, True):
        model.set_grad_checkpointing(checkpointing)
        torch.manual_seed(8)
        found.append(gradients(model, adapter, pooled))
    (plain, slopes), (again, own) = found
    torch.testing.assert_close(again, plain)
    for one, other in zip(own, slopes, strict=True):
        torch.testing.assert_close(one, other)


def test_autocast_stays_near_fp32():
    model = build()
    adapter = LoraAdapter(model, LoraSettings(rank=3, dropout=0.0))
    randomise(adapter)
    expected, _ = gradients(model, adapter, whole)
    with torch.autocast("cpu", torch.bfloat16):
        found, own = gradients(model, adapter, pooled)
    assert found.dtype == torch.float32
    assert all(torch.isfinite(slope).all() for slope in own)
    assert float(F.cosine_similarity(found, expected, dim=-1).detach().min()) > 0.999


def test_positions_pooled_are_the_ends():
    model = build()
    assert pool_positions(model, make_texts()).tolist() == [length - 1 for length in LENGTHS]


def test_quick_gelu_has_the_values_and_slopes_of_open_clips():
    x = torch.cat([torch.linspace(-30, 30, 101), torch.tensor([0.0, -1e4, 1e4])]).double().requires_grad_(True)
    assert torch.autograd.gradcheck(quick_gelu, x[:101].detach().requires_grad_(True))
    torch.testing.assert_close(quick_gelu(x), QuickGELU()(x))
    own, other = (torch.autograd.grad(f(x).sum(), x)[0] for f in (quick_gelu, QuickGELU()))
    torch.testing.assert_close(own, other)


def test_a_block_of_another_kind_makes_its_tower_run_whole():
    model = build()
    model.visual.transformer.resblocks[0] = nn.Identity()
    assert not pools_one_image_token(model.visual)
