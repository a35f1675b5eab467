from dataclasses import replace

import pytest
import torch
from open_clip.model import CLIP
from pydantic import ValidationError

from cultureclip.clip.data.batches import prepare
from cultureclip.clip.data.frozen_blocks import cache_frozen_blocks
from cultureclip.clip.data.towers import crop_tokens, embed_image, finish_image, pools_plainly
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.settings import (
    AugmentationSettings,
    LoraSettings,
    ReplaySettings,
    RunSettings,
    TextSettings,
    TrainerSettings,
)
from cultureclip.errors import ConfigurationError, StorageError
from cultureclip.models.text_tower import embed_text
from tests.clip.conftest import general_pairs, make_rows
from tests.clip.trainings import train


def settings(keep, **trainer):
    return RunSettings(
        lora=LoraSettings(rank=2, dropout=0.0, targets=("q", "v", "mlp"), last_blocks=1),
        augmentation=AugmentationSettings(zoom=0, shift=0, colour=0),
        replay=ReplaySettings(batch=3, weight=2.0),
        trainer=TrainerSettings(
            **(
                {"steps": 8, "batch": 4, "lr": 0.01, "warmup_steps": 2, "eval_every": 4, "cache_frozen_blocks": keep}
                | trainer
            )
        ),
    )


@pytest.mark.parametrize("changes", [{}, {"chunk": 1, "anchor": 2.0}])
def test_training_from_the_cache_equals_training_through_all_blocks(base_folder, tmp_path, changes):
    def run(keep):
        own = settings(keep, **changes)
        return train(*make_rows(), base_folder, tmp_path / str(keep), settings=own, general=general_pairs())

    (kept, log), (whole, expected) = run(True), run(False)
    assert any("resblocks.1" in name for name in whole.adapter) and not any("resblocks.0" in n for n in whole.adapter)
    for name, tensor in whole.adapter.items():
        torch.testing.assert_close(kept.adapter[name], tensor, atol=1e-5, rtol=1e-4)
    assert log[-1]["dev_loss"] == pytest.approx(expected[-1]["dev_loss"], rel=1e-5)
    assert not list((tmp_path / "True").glob("*/frozen_blocks"))


def test_frozen_blocks_run_once_and_never_in_a_step(encoder, tmp_path):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    adapter = LoraAdapter(encoder.model, settings(True).lora)
    encoder.model.eval()
    frozen = [encoder.model.visual.transformer.resblocks[0], encoder.model.transformer.resblocks[0]]
    runs = []
    for block in frozen:
        block.register_forward_hook(lambda *_: runs.append(1))
    cache = cache_frozen_blocks(data, encoder, 1, tmp_path)
    assert len(runs) == 2
    places = torch.tensor([3, 0, 3])
    tokens = data.tokens[places][:, :9]
    with torch.no_grad():
        found = cache.embed_images(places), cache.embed_texts(places, tokens)
        assert len(runs) == 2
        pixels = torch.from_numpy(data.pixels[places.numpy()]).float() / 255
        expected = embed_image(encoder.model, pixels * 2 - 1), embed_text(encoder.model, tokens)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, atol=1e-5, rtol=1e-5)
    adapter.remove()


@pytest.mark.parametrize(
    "changes",
    [
        {"lora": LoraSettings(last_blocks=None)},
        {"augmentation": AugmentationSettings(zoom=0, shift=0, colour=0, mirror=0.5)},
        {"augmentation": AugmentationSettings(zoom=0, shift=0, colour=0, crop_area=(0.5, 1))},
        {"launch": {"processes": 2}},
    ],
)
def test_what_would_change_the_cache_is_refused(changes):
    with pytest.raises(ValidationError, match="cache_frozen_blocks needs"):
        RunSettings.model_validate({**settings(True).model_dump(), **changes})


@pytest.mark.parametrize("other", ["checkpoint_activations", "compile"])
def test_ways_to_run_whole_towers_are_refused_where_blocks_run_alone(other):
    with pytest.raises(ValidationError, match=f"set .*{other}.* to false"):
        settings(True, **{other: True})


def test_other_towers_have_no_cache(encoder, tmp_path, monkeypatch):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    encoder.model.visual = torch.nn.Identity()
    with pytest.raises(ConfigurationError, match="cache_frozen_blocks"):
        cache_frozen_blocks(data, encoder, 1, tmp_path)


def test_a_frozen_tower_may_have_fewer_blocks_than_are_adapted(encoder, tmp_path):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    del encoder.model.transformer.resblocks[0]
    LoraAdapter(encoder.model, LoraSettings(towers=("image",), last_blocks=2))
    cache = cache_frozen_blocks(data, encoder, 2, tmp_path)
    tokens = crop_tokens(encoder.model, data.tokens)
    with torch.no_grad():
        found = cache.embed_texts(torch.arange(len(tokens)), tokens)
        torch.testing.assert_close(found, embed_text(encoder.model, tokens), atol=1e-5, rtol=1e-5)


def test_a_full_disk_is_an_error_and_no_crash(encoder, tmp_path):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    (tmp_path / "images.npy").symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"images.npy: cannot be written \(No space left.*cache_frozen_blocks"):
        cache_frozen_blocks(data, encoder, 1, tmp_path)


def make_tower(**pooling: object) -> CLIP:
    vision = {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16} | pooling
    text = {"context_length": 8, "vocab_size": 20, "width": 32, "heads": 2, "layers": 1}
    torch.manual_seed(0)
    model = CLIP(embed_dim=24, vision_cfg=vision, text_cfg=text).eval()
    torch.nn.init.normal_(model.visual.ln_post.bias)  # without a bias, norm and mean would commute more often
    return model


@pytest.mark.parametrize("pool", ["tok", "avg"])
@pytest.mark.parametrize("norm_after_pool", [False, True])
def test_the_end_of_an_image_tower_is_open_clips(pool, norm_after_pool):
    model = make_tower(pool_type=pool, final_ln_after_pool=norm_after_pool)
    reached, pixels = [], torch.randn(3, 3, 16, 16)
    model.visual.transformer.register_forward_hook(lambda _, __, output: reached.append(output))
    with torch.no_grad():
        expected = model.encode_image(pixels)
        torch.testing.assert_close(finish_image(model, reached[0]), expected)
    assert pools_plainly(model.visual)


def test_a_tower_that_pools_by_attention_is_refused(encoder, tmp_path):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    model = make_tower(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2)
    with pytest.raises(ConfigurationError, match="pools by attention"):
        cache_frozen_blocks(data, replace(encoder, model=model), 1, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
