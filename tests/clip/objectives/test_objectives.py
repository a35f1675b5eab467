"""Options of the objectives: repeated meanings, several right answers, the twin margin, the release's defects."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from cultureclip.clip.objectives.contrast import TwinEmbeddings, cross_entropy, twin_margin
from cultureclip.clip.objectives.losses import OBJECTIVES, build_objective
from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES
from cultureclip.clip.settings import ObjectiveSettings
from cultureclip.errors import ConfigurationError
from tests.clip.objectives.test_losses import B, alike, dot, make_twins, naive

CAPTION_IDS = torch.tensor([[0, 1, 2, 0, 4], [5, 6, 2, 5, 9]])  # the third twin has one caption for both sides
CONCEPT_IDS = torch.tensor([[20, 21, 22, 20, 21], [22, 21, 25, 26, 27]])  # the second one concept
CONCEPTS_ONLY = ("clip_concept", "negclip_concept")
BOTH = ("cultureclip", "clip_caption_clip_concept", "neg_caption_clip_concept", "clip_caption_neg_concept")
OPTIONS = {
    "plain": {},
    "unaware": {"duplicate_aware": False},
    "several right": {"multi_positive": True},
    "margin": {"twin_margin_weight": 1.7, "twin_margin": 0.4},
    "margin, unaware": {"twin_margin_weight": 1.7, "twin_margin": 0.4, "duplicate_aware": False},
    "unnormalised": {"as_released": (1,)},
    "repeats are negatives": {"as_released": (5,)},
    "release": {"as_released": (1, 5)},
    "all at once": {"as_released": (1,), "multi_positive": True, "twin_margin_weight": 0.8},
}


def make_settings(**options) -> ObjectiveSettings:
    return ObjectiveSettings(**{"lambda_caption": 0.6, "lambda_concept": 0.4, **options})


def make_raw_twins(seed: int) -> tuple[TwinEmbeddings, TwinEmbeddings, list[torch.Tensor]]:
    """Twins with their norms, the same ones not normalised, and the leaves of both."""
    twins, leaves = make_twins(seed, d=3)
    twins = replace(twins, caption_ids=CAPTION_IDS, concept_ids=CONCEPT_IDS)
    images, captions, concepts = leaves[:3]
    norms = torch.stack([raw.norm(dim=-1) for raw in leaves[:3]])
    return replace(twins, norms=norms), replace(twins, images=images, captions=captions, concepts=concepts), leaves


def distinct(twins: TwinEmbeddings) -> TwinEmbeddings:
    """The same embeddings, no text there twice."""
    ids = torch.arange(twins.caption_ids.numel()).view_as(twins.caption_ids)
    return replace(twins, caption_ids=ids, concept_ids=ids + ids.numel())


def naive_margin(twins, field, settings):
    texts = twins.captions if field == "caption" else twins.concepts
    total = 0.0
    for side in (0, 1):
        for row in range(B):
            own, other = (side, row), (1 - side, row)
            if settings.duplicate_aware and alike(twins, field, own, other):
                continue
            image = twins.images[own] / dot(twins.images[own], twins.images[own]).sqrt()
            cosines = [dot(image, texts[x]) / dot(texts[x], texts[x]).sqrt() for x in (own, other)]
            short = settings.twin_margin - (cosines[0] - cosines[1])
            total = total + (short if short > 0 else 0.0)
    return total / (2 * B)


def naive_whole(name, normalised, raw, options):
    """An objective with every option, from its definition; the release's names are put into the settings' own."""
    released = options.get("as_released", ())
    own = {key: value for key, value in options.items() if key != "as_released"}
    settings = make_settings(**own, **({"duplicate_aware": False} if 5 in released else {}))
    value = naive(name, raw if 1 in released else normalised, settings)
    if not settings.twin_margin_weight:
        return value
    if name in BOTH:
        weights = {"caption": settings.lambda_caption, "concept": settings.lambda_concept}
    else:
        weights = {"concept" if name in CONCEPTS_ONLY else "caption": 1.0}
    margins = sum(weight * naive_margin(normalised, field, settings) for field, weight in weights.items())
    return value + settings.twin_margin_weight * margins


@pytest.mark.parametrize("options", list(OPTIONS.values()), ids=list(OPTIONS))
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_equals_naive_reference_in_float64(name, options):
    twins, raw, leaves = make_raw_twins(5)
    value = build_objective(name, make_settings(**options))(twins)
    expected = naive_whole(name, twins, raw, options)
    assert value.item() == pytest.approx(expected.item(), abs=1e-6)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True, retain_graph=True)  # both share the embeddings
    wanted = torch.autograd.grad(expected, leaves, allow_unused=True)
    for got, want, leaf in zip(gradients, wanted, leaves, strict=True):
        zero = torch.zeros_like(leaf)  # what is not used and what is used without effect are alike here
        torch.testing.assert_close(zero if got is None else got, zero if want is None else want, rtol=0, atol=1e-6)


@given(
    labels=st.integers(2, 6).flatmap(
        lambda n: st.lists(st.tuples(st.integers(0, 3), st.integers(4, 6)), min_size=n, max_size=n)
    ),
    rows=st.integers(2, 6),
    seed=st.integers(0, 10_000),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_an_identical_text_is_never_a_negative(labels, rows, seed):
    labels = torch.tensor(labels)
    rows = min(rows, len(labels))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, len(labels), generator=generator, dtype=torch.float64).requires_grad_()
    value = cross_entropy(logits, labels[:rows], labels)
    (gradient,) = torch.autograd.grad(value, logits)
    for i in range(rows):
        for j in range(len(labels)):
            same = i != j and bool((labels[i] == labels[j]).any())
            assert (float(gradient[i, j]) == 0) == (same or float(gradient[i].abs().max()) == 0)
    others = [[not bool((labels[i] == labels[j]).any()) or j == i for j in range(len(labels))] for i in range(rows)]
    kept = [logits[i][torch.tensor(others[i])].logsumexp(0) - logits[i, i] for i in range(rows)]
    assert float(value) == pytest.approx(float(sum(kept)) / rows, abs=1e-9)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_nothing_is_contrasted_when_all_texts_mean_the_same(name):
    twins, _ = make_twins(4)
    same = replace(twins, concept_ids=torch.zeros_like(twins.concept_ids))
    assert float(build_objective(name, make_settings(twin_margin_weight=1.0, twin_margin=1.0))(same)) == 0


@given(seed=st.integers(0, 10_000), name=st.sampled_from(list(OBJECTIVES)))
@hypothesis_settings(deadline=None, max_examples=40)
def test_options_for_repeats_change_nothing_without_repeats(seed, name):
    twins = distinct(make_twins(seed)[0])
    plain = build_objective(name, make_settings(duplicate_aware=False))(twins)
    for options in ({}, {"multi_positive": True}, {"as_released": (5,)}):
        assert float(build_objective(name, make_settings(**options))(twins)) == pytest.approx(float(plain), abs=1e-12)


@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=6),
    seed=st.integers(0, 10_000),
)
@hypothesis_settings(deadline=None, max_examples=40)
def test_least_multi_positive_loss_shares_the_mass_among_all_right_answers(labels, seed):
    labels = torch.tensor(labels).unsqueeze(-1)
    same = labels == labels.T
    least = float(same.sum(-1).double().log().mean())
    perfect = torch.where(same, 50.0, -50.0).double()
    assert float(cross_entropy(perfect, labels, labels, multi_positive=True)) == pytest.approx(least, abs=1e-9)
    other = torch.randn(same.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert float(cross_entropy(other, labels, labels, multi_positive=True)) >= least - 1e-12


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_margin_without_weight_is_no_margin(name):
    twins, _ = make_twins(6)
    plain = build_objective(name, make_settings())(twins)
    assert torch.equal(plain, build_objective(name, make_settings(twin_margin=2.0))(twins))
    assert float(build_objective(name, make_settings(twin_margin=2.0, twin_margin_weight=1.0))(twins)) > float(plain)


@given(seed=st.integers(0, 10_000), margin=st.floats(0, 2), factor=st.floats(0.01, 100))
@hypothesis_settings(deadline=None, max_examples=40)
def test_margin_knows_only_cosines_and_is_content_with_its_lead(seed, margin, factor):
    generator = torch.Generator().manual_seed(seed)
    images, texts = (torch.randn(2, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    value = float(twin_margin(images, texts, margin))
    assert value == pytest.approx(float(twin_margin(images * factor, texts / factor, margin)), abs=1e-9)
    own, other = (F.cosine_similarity(images, t, dim=-1) for t in (texts, texts.flip(0)))
    assert (value == 0) == bool((own - other >= margin).all())
    opposite = torch.stack([texts[0], -texts[0]])
    assert float(twin_margin(opposite, opposite, margin)) == pytest.approx(0, abs=1e-12)  # a lead of 2 is the largest


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_released_repeats_are_the_loss_without_masking(name):
    twins, _ = make_twins(7)
    released = build_objective(name, make_settings(as_released=(5,)))(twins)
    assert torch.equal(released, build_objective(name, make_settings(duplicate_aware=False))(twins))
    assert float(released) > float(build_objective(name, make_settings())(twins))


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_released_clip_alone_is_a_zero_that_cannot_train(name):
    twins, _ = make_twins(8)
    value = build_objective(name, make_settings(as_released=(4,)))(twins)
    if name == "clip":
        assert float(value) == 0 and not value.requires_grad
        with pytest.raises(RuntimeError, match="does not require grad"):
            value.backward()
    else:
        assert torch.equal(value, build_objective(name, make_settings())(twins))


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_unnormalised_is_the_same_only_at_length_one(name):
    twins, _, _ = make_raw_twins(9)
    released = build_objective(name, make_settings(as_released=(1,)))
    plain = float(build_objective(name, make_settings())(twins))
    assert float(released(replace(twins, norms=torch.ones_like(twins.norms)))) == pytest.approx(plain, abs=1e-12)
    assert abs(float(released(twins)) - plain) > 1e-3


def test_unnormalised_without_lengths_is_refused():
    with pytest.raises(ConfigurationError, match="as_released"):
        build_objective("clip", ObjectiveSettings(as_released=(1,)))(make_twins(1)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"multi_positive": True, "duplicate_aware": False}, "needs duplicate_aware"),
        ({"multi_positive": True, "as_released": (5,)}, "no 5 in as_released"),
        ({"as_released": (2,)}, "as_released"),
        ({"twin_margin": 2.1}, "twin_margin"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ObjectiveSettings(**options)


def test_half_precision_is_summed_in_fp32():
    logits = torch.randn(4, 9, generator=torch.Generator().manual_seed(0)).bfloat16()
    labels = torch.arange(9).unsqueeze(-1)
    for several in (False, True):
        value = cross_entropy(logits, labels[:4], labels, multi_positive=several)
        assert value.dtype == torch.float32
        assert float(value) == float(cross_entropy(logits.float(), labels[:4], labels, multi_positive=several))


def test_every_objective_is_a_documented_module_and_on_the_page():
    page = (Path(__file__).parents[3] / "docs" / "objectives.md").read_text(encoding="utf-8")
    assert tuple(OBJECTIVES) == tuple(OBJECTIVE_TITLES)
    for name, objective in OBJECTIVES.items():
        assert issubclass(objective, nn.Module) and re.fullmatch("[a-z_]+", name)
        assert objective.__doc__ and re.search(r"[+*^(]", objective.__doc__)
        assert f"\n| `{name}` |" in page
    for option in ObjectiveSettings.model_fields:
        assert f"`{option}`" in page
