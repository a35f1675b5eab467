"""Every objective against sums written out element by element, in value and gradient."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cultureclip.clip.objectives.distillation import anchor_loss, replay_loss
from cultureclip.clip.objectives.losses import OBJECTIVES, TwinEmbeddings, build_objective
from cultureclip.clip.settings import ObjectiveSettings
from cultureclip.errors import ConfigurationError

B, D = 5, 7
CAPTION_IDS = torch.tensor([[0, 1, 2, 0, 4], [5, 6, 7, 5, 9]])
CONCEPT_IDS = torch.tensor([[20, 21, 22, 20, 21], [22, 24, 25, 26, 27]])  # repeats in and across sides


def make_twins(seed: int, d: int = D) -> tuple[TwinEmbeddings, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    raw = [torch.randn(2, B, d, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(3)]
    temperature = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    images, captions, concepts = (F.normalize(r, dim=-1) for r in raw)
    twins = TwinEmbeddings(images, captions, concepts, CAPTION_IDS, CONCEPT_IDS, temperature.exp())
    return twins, [*raw, temperature]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def naive_ce(rows, columns, scale, same_as_row, several):
    """Mean of -log softmax at (i, i), or over all that are the same; one dot product at a time."""
    total = 0.0
    for i, row in enumerate(rows):
        logits = {
            j: scale * dot(row, column)
            for j, column in enumerate(columns)
            if j == i or several or not same_as_row(i, j)
        }
        right = [j for j in logits if j == i or (several and same_as_row(i, j))]
        normaliser = torch.log(sum(torch.exp(logit) for logit in logits.values()))
        total = total + sum(normaliser - logits[j] for j in right) / len(right)
    return total / len(rows)


def alike(twins, field, x, y):
    """Whether the texts at two places (side, row) mean the same."""
    same_concept = twins.concept_ids[x] == twins.concept_ids[y]
    return bool(same_concept or (field == "caption" and twins.caption_ids[x] == twins.caption_ids[y]))


def naive_one_way(twins, field, images_first, own, columns, settings):
    """CE of the places ``own`` against the places ``columns``: images against texts, or the other way round."""
    texts = twins.captions if field == "caption" else twins.concepts
    first, second = (twins.images, texts) if images_first else (texts, twins.images)
    return naive_ce(
        [first[x] for x in own],
        [second[x] for x in columns],
        twins.scale,
        lambda i, j: settings.duplicate_aware and alike(twins, field, own[i], columns[j]),
        settings.multi_positive,
    )


def naive_contrast(twins, field, own, extra, settings):
    """1/2 [CE(I, texts) + CE(T, I)] over lists of (side, row)."""
    forth = naive_one_way(twins, field, True, own, own + extra, settings)
    back = naive_one_way(twins, field, False, own, own, settings)
    return (forth + back) / 2


def naive(name, twins, settings):
    positive, negative = ([(h, b) for b in range(twins.images.shape[1])] for h in (0, 1))

    def clip(field):
        return naive_contrast(twins, field, positive, [], settings)

    def neg(field):
        return naive_contrast(twins, field, positive, negative, settings)

    def pair(field):
        return neg(field) + naive_contrast(twins, field, negative, positive, settings)

    def three_way():
        forth = naive_one_way(twins, "caption", True, positive, positive + negative, settings)
        back = naive_one_way(twins, "caption", False, positive, positive + negative, settings)
        return (forth + back + naive_one_way(twins, "caption", True, negative, negative + positive, settings)) / 3

    def both(captions, concepts):
        return settings.lambda_caption * captions("caption") + settings.lambda_concept * concepts("concept")

    return {
        "clip": lambda: clip("caption"),
        "clip_both": lambda: naive_contrast(twins, "caption", positive + negative, [], settings),
        "negclip": lambda: neg("caption"),
        "tripletclip": lambda: pair("caption"),
        "cultureclip": lambda: both(pair, pair),
        "clip_concept": lambda: clip("concept"),
        "negclip_concept": lambda: neg("concept"),
        "clip_caption_clip_concept": lambda: both(clip, clip),
        "neg_caption_clip_concept": lambda: both(neg, clip),
        "clip_caption_neg_concept": lambda: both(clip, neg),
        "conclip": three_way,
    }[name]()


@pytest.mark.parametrize("aware", [True, False])
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_equals_naive_reference_in_value_and_gradient(name, aware):
    settings = ObjectiveSettings(duplicate_aware=aware, lambda_caption=0.6, lambda_concept=0.4)
    twins, leaves = make_twins(3)
    value = build_objective(name, settings)(twins)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    twins, leaves = make_twins(3)
    expected = naive(name, twins, settings)
    wanted = torch.autograd.grad(expected, leaves, allow_unused=True)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for got, want in zip(gradients, wanted, strict=True):
        assert (got is None) == (want is None)
        if got is not None:
            torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_repeated_text_is_a_negative_only_when_not_duplicate_aware(name):
    twins, _ = make_twins(1)
    aware = build_objective(name, ObjectiveSettings(duplicate_aware=True))(twins)
    unaware = build_objective(name, ObjectiveSettings(duplicate_aware=False))(twins)
    assert float(aware) < float(unaware)


def test_objectives_do_not_depend_on_the_order_of_rows():
    twins, _ = make_twins(2)
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = TwinEmbeddings(
        *(getattr(twins, f)[:, order] for f in ("images", "captions", "concepts", "caption_ids", "concept_ids")),
        twins.scale,
    )
    for name in OBJECTIVES:
        assert float(build_objective(name)(twins)) == pytest.approx(float(build_objective(name)(shuffled)), rel=1e-5)


def test_unknown_objective_lists_the_known():
    with pytest.raises(ConfigurationError, match="clip, clip_both, negclip, tripletclip, cultureclip"):
        build_objective("siglip")


def test_anchor_is_zero_at_the_base_and_a_divergence_elsewhere():
    generator = torch.Generator().manual_seed(0)
    images, texts, other = (F.normalize(torch.randn(n, D, generator=generator), dim=-1) for n in (4, 6, 6))
    scale = torch.tensor(10.0)
    assert float(anchor_loss(images, texts, images, texts, scale)) == pytest.approx(0, abs=1e-6)
    value = float(anchor_loss(images, other, images, texts, scale))

    def kl(p, q):
        return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p.tolist(), q.tolist(), strict=True))

    base, tuned = scale * images @ texts.T, scale * images @ other.T
    rows = sum(kl(p.softmax(0), q.softmax(0)) for p, q in zip(base, tuned, strict=True)) / 4
    columns = sum(kl(p.softmax(0), q.softmax(0)) for p, q in zip(base.T, tuned.T, strict=True)) / 6
    assert value == pytest.approx((rows + columns) / 2, rel=1e-4)


def test_replay_loss_equals_a_naive_loop_and_is_zero_at_the_base():
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

    base_images, base_texts, images, texts = unit(7, 5), unit(7, 5), unit(3, 5), unit(3, 5)
    rows = torch.tensor([2, 6, 2])
    total = 0.0
    for own, base_own, candidates in ((images, base_images, base_texts), (texts, base_texts, base_images)):
        for i, row in enumerate(rows.tolist()):
            p, q = (
                np.exp(10 * candidates.numpy() @ v.numpy()) / np.exp(10 * candidates.numpy() @ v.numpy()).sum()
                for v in (base_own[row], own[i])
            )
            total += (p * np.log(p / q)).sum() / 3 / 2
    assert float(replay_loss(images, texts, rows, base_images, base_texts)) == pytest.approx(total, rel=1e-5)
    at_base = replay_loss(base_images[rows], base_texts[rows], rows, base_images, base_texts)
    assert float(at_base) == pytest.approx(0, abs=1e-6)
