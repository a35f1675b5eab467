import open_clip
import pytest
import torch

from cultureclip.clip.data.towers import encode_image, encode_text
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.lora.merging import merge
from cultureclip.clip.settings import LoraSettings
from cultureclip.errors import ConfigurationError, WeightsError

EVERYWHERE = LoraSettings(rank=3, alpha=6, dropout=0.0, targets=("q", "k", "v", "out", "mlp"))


def outputs(model, encoder, pixels):
    tokens = encoder.tokenizer(["a red kimono", "taco of silk in the picture"])
    return torch.cat([encode_image(model, pixels), encode_text(model, tokens)])


def randomise(adapter, seed=1):
    """Give the update a size that shows; B is zero at the start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for update in adapter.updates():
            update.b.normal_(0, 0.3, generator=generator)


@pytest.fixture
def pixels():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_parameter_count_of_the_paper_on_vit_b_32():
    model = open_clip.create_model("ViT-B-32-quickgelu", load_weights=False, device="meta")
    assert LoraAdapter(model, LoraSettings()).size() == 245_760


@pytest.mark.parametrize("training", [True, False])
def test_fresh_adapter_computes_what_the_base_computes(encoder, pixels, training):
    encoder.model.eval()
    with torch.no_grad():
        before = outputs(encoder.model, encoder, pixels)  # nn.MultiheadAttention's fused path
        LoraAdapter(encoder.model, LoraSettings())
        encoder.model.train(training)
        torch.testing.assert_close(outputs(encoder.model, encoder, pixels), before, rtol=0, atol=1e-5)


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("out",), ("mlp",), EVERYWHERE.targets])
def test_merged_model_equals_adapted_one_in_evaluation_and_training(encoder, pixels, targets):
    base = {name: t.clone() for name, t in encoder.model.state_dict().items()}
    lora = EVERYWHERE.model_copy(update={"targets": targets})
    adapter = LoraAdapter(encoder.model, lora)
    with torch.no_grad():
        untouched = outputs(encoder.model, encoder, pixels)
        randomise(adapter)
        adapter.logit_scale.add_(0.5)
        adapted = [outputs(encoder.model.train(mode), encoder, pixels) for mode in (True, False)]
        state = adapter.state()
        adapter.remove()
        encoder.model.load_state_dict(merge(base, state, lora.scale))
        merged = outputs(encoder.model.eval(), encoder, pixels)
    assert float((merged - untouched).abs().max()) > 1e-2
    for result in adapted:
        torch.testing.assert_close(result, merged, rtol=0, atol=1e-5)
    assert float(encoder.model.logit_scale.detach()) == pytest.approx(float(base["logit_scale"]) + 0.5)


def test_base_is_untouched_bit_for_bit_after_training_steps_and_removal(encoder, pixels):
    base = {name: t.clone() for name, t in encoder.model.state_dict().items()}
    adapter = LoraAdapter(encoder.model, EVERYWHERE)
    optimizer = torch.optim.AdamW(adapter.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (outputs(encoder.model, encoder, pixels).sum() * encoder.model.logit_scale).backward()
        optimizer.step()
    assert any(p.abs().max() > 0 for u in adapter.updates() for p in [u.b])
    adapter.remove()
    after = encoder.model.state_dict()
    assert list(after) == list(base)
    assert all(torch.equal(after[name], base[name]) for name in base)


def test_gradient_equals_that_of_the_weights_written_out(encoder, pixels):
    """d loss / d A and B through the wrapper and through W + scale * B A substituted into the plain model."""
    base = {name: t.clone() for name, t in encoder.model.state_dict().items()}
    adapter = LoraAdapter(encoder.model, EVERYWHERE)
    randomise(adapter)
    leaves = dict(adapter.named_parameters())
    weight = torch.randn(3 + 2, 24, generator=torch.Generator().manual_seed(4))
    got = torch.autograd.grad(
        (outputs(encoder.model.train(), encoder, pixels) * weight).sum(), leaves.values(), allow_unused=True
    )
    state = {name: t.requires_grad_() for name, t in adapter.state().items()}
    adapter.remove()
    merged = merge(base, state, EVERYWHERE.scale)

    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = encoder.model

        def forward(self):
            return outputs(self.model, encoder, pixels)

    result = torch.func.functional_call(Both().train(), {f"model.{n}": t for n, t in merged.items()}, ())
    want = torch.autograd.grad((result * weight).sum(), list(state.values()), allow_unused=True)
    want_by_name = dict(zip(state, want, strict=True))
    for name, gradient in zip(leaves, got, strict=True):
        expected = want_by_name[name.removeprefix("sites.").replace("/", ".")]
        if gradient is None or expected is None:
            assert name == "logit_scale"
            continue
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_disabled_is_the_base_and_comes_back(encoder, pixels):
    with torch.no_grad():
        before = outputs(encoder.model, encoder, pixels)
        adapter = LoraAdapter(encoder.model, EVERYWHERE)
        randomise(adapter)
        with adapter.disabled():
            torch.testing.assert_close(outputs(encoder.model, encoder, pixels), before, rtol=0, atol=1e-5)
        assert float((outputs(encoder.model, encoder, pixels) - before).abs().max()) > 1e-2


def test_only_updates_and_the_wanted_temperature_learn(encoder):
    adapter = LoraAdapter(encoder.model, LoraSettings(towers=("text",), train_temperature=False))
    learning = [n for n, p in encoder.model.named_parameters() if p.requires_grad]
    assert learning and all(n.startswith("transformer.") and ".updates." in n for n in learning)
    assert adapter.size() == sum(p.numel() for p in adapter.parameters())


def test_update_scale_interpolates_between_base_and_tuned(encoder):
    base = {name: t.clone() for name, t in encoder.model.state_dict().items()}
    adapter = LoraAdapter(encoder.model, EVERYWHERE)
    randomise(adapter)
    zero, half, one = (merge(base, adapter.state(), EVERYWHERE.scale, share) for share in (0.0, 0.5, 1.0))
    for name, value in base.items():
        assert torch.equal(zero[name], value)
        torch.testing.assert_close(half[name], (value + one[name]) / 2)


def test_dropout_acts_in_training_only(encoder, pixels):
    adapter = LoraAdapter(encoder.model, LoraSettings(dropout=0.5))
    randomise(adapter)
    with torch.no_grad():
        trained = [outputs(encoder.model.train(), encoder, pixels) for _ in range(2)]
        tested = [outputs(encoder.model.eval(), encoder, pixels) for _ in range(2)]
    assert not torch.equal(*trained)
    assert torch.equal(*tested)


def test_state_of_another_layout_is_refused(encoder):
    adapter = LoraAdapter(encoder.model, LoraSettings(rank=4))
    state = adapter.state()
    wrong_shape = {name: t[:2] if name.endswith(".a") else t for name, t in state.items()}
    with pytest.raises(WeightsError, match="shapes"):
        adapter.load(wrong_shape)
    state.pop(next(iter(state)))
    with pytest.raises(WeightsError, match="layout"):
        adapter.load(state)


def test_a_tower_without_own_blocks_is_refused(encoder):
    encoder.model.visual.transformer.resblocks = torch.nn.ModuleList()
    with pytest.raises(ConfigurationError, match="image tower"):
        LoraAdapter(encoder.model, LoraSettings())
