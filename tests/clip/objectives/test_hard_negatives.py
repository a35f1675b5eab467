"""The term of hard negatives: against a loop, and what it leaves alone."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cultureclip.clip.objectives.losses import build_objective
from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES
from cultureclip.clip.settings import ObjectiveSettings, RunSettings
from tests.clip.objectives.test_losses import make_twins

WEIGHT = 1.7


def with_negatives(seed: int = 0):
    """Twins in float64, some with a hard negative; the negatives are leaves."""
    twins, _ = make_twins(seed, d=3)
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(twins.images.shape, generator=generator, dtype=twins.images.dtype).requires_grad_()
    known = torch.rand(twins.images.shape[:2], generator=generator) < 0.6
    known[0, 0], known[1, 0] = True, False
    return replace(twins, negatives=F.normalize(raw, dim=-1), has_negative=known), raw


def naive(twins, field: str) -> torch.Tensor:
    texts, losses = twins.captions if field == "caption" else twins.concepts, []
    for side in range(2):
        for place in range(twins.images.shape[1]):
            if twins.has_negative[side, place]:
                image = twins.images[side, place]
                logits = twins.scale * torch.stack([image @ texts[side, place], image @ twins.negatives[side, place]])
                losses.append(-F.log_softmax(logits, dim=0)[0])
    return sum(losses) / len(losses)


@pytest.mark.parametrize("name", sorted(OBJECTIVE_TITLES))
def test_it_is_the_mean_over_images_that_have_one(name):
    twins, raw = with_negatives()
    field = "concept" if name in ("clip_concept", "negclip_concept") else "caption"
    without, with_it = (
        build_objective(name, ObjectiveSettings(hard_negative_weight=weight))(twins) for weight in (0.0, WEIGHT)
    )
    torch.testing.assert_close(with_it - without, WEIGHT * naive(twins, field), rtol=1e-6, atol=1e-6)
    with_it.backward(inputs=[raw])
    learned = raw.grad.abs().sum(-1) > 0
    assert torch.equal(learned, twins.has_negative), "what stands where there is none learns nothing"


@pytest.mark.parametrize("known", [False, None])
def test_a_batch_without_one_has_the_loss_of_before(known):
    twins, _ = with_negatives()
    changes = {"has_negative": torch.zeros_like(twins.has_negative)} if known is False else {"negatives": None}
    twins = replace(twins, **changes)
    losses = [build_objective("cultureclip", ObjectiveSettings(hard_negative_weight=w))(twins) for w in (0.0, WEIGHT)]
    assert torch.equal(losses[0], losses[1]) and losses[1].isfinite()


def test_it_compares_cosines_so_it_is_not_had_with_unnormalised_embeddings():
    with pytest.raises(ValueError, match="leave 1 out"):
        RunSettings.model_validate({"objective": {"hard_negative_weight": 1.0}, "as_released": [1]})
