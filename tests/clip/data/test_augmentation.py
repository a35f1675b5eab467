"""What augmentation does to images, against torchvision's own crop and flip on the same numbers."""

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torchvision.transforms import functional as tv

from cultureclip.clip.data.augmentation import Augmentation, draw_augmentation, mirrorable_concepts
from cultureclip.clip.data.batches import step_generator
from cultureclip.clip.settings import AugmentationSettings

SETTINGS = AugmentationSettings(zoom=0.3, shift=0.1, colour=0.2, crop_area=(0.5, 1), mirror=0.5)
STILL = AugmentationSettings.none()


def draw(count, settings, seed=7, mirrorable=True):
    return draw_augmentation(torch.full((count,), mirrorable), settings, step_generator(1, seed))


def smooth_images(count, height=24, width=32):
    """Slow waves: resampled in one step or in two, they are nearly the same."""
    x, y = torch.meshgrid(torch.linspace(0, 1, width), torch.linspace(0, 1, height), indexing="xy")
    phases = torch.rand(count, 3, 1, 1, generator=step_generator(0, 0)) * 6
    return 0.5 + 0.4 * torch.sin(phases + 3 * x + 2 * y)


@pytest.mark.parametrize("mirrored", [False, True])
def test_crop_and_mirror_are_torchvisions_on_the_same_numbers(mirrored):
    """Boxes on whole pixels, so that both ways cut the same box."""
    images = smooth_images(4)
    boxes = [(0, 0, 24, 32), (2, 4, 20, 24), (6, 0, 18, 30), (1, 7, 12, 25)]  # top, left, height, width
    centre = torch.tensor([[(2 * left + w) / 32 - 1, (2 * top + h) / 24 - 1] for top, left, h, w in boxes])
    reach = torch.tensor([[(-1 if mirrored else 1) * w / 32, h / 24] for _, _, h, w in boxes])
    ours = Augmentation(centre, reach, torch.ones(4, 3)).apply(images)
    for image, box, got in zip(images, boxes, ours, strict=True):
        want = tv.resized_crop(image, *box, size=[24, 32], interpolation=tv.InterpolationMode.BILINEAR, antialias=False)
        want = tv.hflip(want) if mirrored else want
        # at a box's edge we see the pixel beyond it, the cut-out box repeats its last one
        torch.testing.assert_close(got[:, 1:-1, 1:-1], want[:, 1:-1, 1:-1], rtol=0, atol=1e-5)
        torch.testing.assert_close(got, want, rtol=0, atol=0.03)


def test_zoom_shift_and_contrast_are_those_of_an_affine_grid():
    images, drawn = smooth_images(6), draw(6, SETTINGS)
    theta = torch.zeros(6, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = drawn.reach[:, 0], drawn.reach[:, 1], drawn.centre
    grid = torch.nn.functional.affine_grid(theta, list(images.shape), align_corners=False)
    moved = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    want = (1 - (1 - moved) * drawn.contrast[:, :, None, None]).clamp(0, 1)
    torch.testing.assert_close(drawn.apply(images), want, rtol=0, atol=1e-5)


@given(low=st.floats(0.05, 1), high=st.floats(0.05, 1), stretch=st.floats(1, 4), seed=st.integers(0, 10**6))
def test_a_crop_lies_in_the_picture_with_the_area_and_shape_asked_for(low, high, stretch, seed):
    low, high = sorted((low, high))
    crop = STILL.model_copy(update={"crop_area": (low, high), "crop_ratio": (1 / stretch, stretch)})
    drawn = draw(64, crop, seed)
    area = drawn.reach.prod(1)
    assert (drawn.reach.abs() + drawn.centre.abs()).max() <= 1 + 1e-5
    assert low - 1e-5 <= area.min() and area.max() <= high + 1e-5
    ratio = drawn.reach[:, 0] / drawn.reach[:, 1]
    assert 1 / stretch - 1e-4 <= ratio.min() and ratio.max() <= stretch + 1e-4


def test_crops_reach_both_ends_of_their_ranges():
    drawn = draw(4000, STILL.model_copy(update={"crop_area": (0.4, 0.9), "mirror": 0.5}))
    area, ratio = drawn.reach.prod(1).abs(), (drawn.reach[:, 0] / drawn.reach[:, 1]).abs()
    assert area.min() < 0.41 and area.max() > 0.89
    assert ratio.min() < 0.78 and ratio.max() > 1.3
    assert 0.46 < float((drawn.reach[:, 0] < 0).float().mean()) < 0.54


@given(seed=st.integers(0, 2**32), chance=st.floats(0, 1))
def test_what_may_not_be_mirrored_never_is(seed, chance):
    mirrorable = torch.arange(32) % 2 == 0
    settings = SETTINGS.model_copy(update={"mirror": chance})
    reach = draw_augmentation(mirrorable, settings, step_generator(seed, 3)).reach
    assert (reach[~mirrorable] > 0).all() and (reach[:, 1] > 0).all()
    certain = draw_augmentation(mirrorable, SETTINGS.model_copy(update={"mirror": 1.0}), step_generator(seed, 3)).reach
    assert (certain[mirrorable, 0] < 0).all()


def test_numbers_come_from_the_generator_and_their_count_does_not_depend_on_what_is_mirrored():
    after = []
    for mirrorable in (True, False):
        generator = step_generator(1, 7)
        draw_augmentation(torch.full((8,), mirrorable), SETTINGS, generator)
        after.append(torch.rand(3, generator=generator))
    assert torch.equal(*after)
    images = smooth_images(8)
    first, second, other = (draw(8, SETTINGS, seed).apply(images) for seed in (7, 7, 8))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert float(first.min()) >= 0 and float(first.max()) <= 1


def test_a_share_of_the_images_gets_the_bits_of_the_whole():
    images, drawn = torch.rand(9, 3, 16, 16, generator=step_generator(0, 1)), draw(9, SETTINGS)
    whole = drawn.apply(images)
    for size in (1, 2, 4):
        parts = [drawn[a : a + size].apply(images[a : a + size]) for a in range(0, 9, size)]
        assert torch.equal(torch.cat(parts), whole)


def test_no_augmentation_leaves_images_as_they_are():
    images = torch.rand(4, 3, 16, 16, generator=step_generator(0, 1))
    torch.testing.assert_close(draw(4, STILL).apply(images), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", [{"crop_area": (0.9, 0.5)}, {"crop_area": (0, 1)}, {"crop_ratio": (2, 1)}])
def test_ranges_that_are_none_are_refused(wrong):
    with pytest.raises(ValidationError):
        AugmentationSettings(**wrong)


def test_concepts_of_a_named_category_or_universal_may_not_be_mirrored():
    concepts = pd.DataFrame(
        {
            "concept_id": ["a", "b", "c", "d"],
            "category": ["Cuisine", "Symbol", "Symbol", "Clothing"],
            "universal": ["soup", "Flag", "sign", "dress"],
        }
    )
    assert mirrorable_concepts(concepts, AugmentationSettings().never_mirrored) == {"a", "d"}
    assert mirrorable_concepts(concepts, ["flag", "cuisine"]) == {"c", "d"}
    assert mirrorable_concepts(concepts, []) == {"a", "b", "c", "d"}
