"""Random change of training images: crop, mirror, zoom and shift as one resampling, then a contrast for each channel.

All random numbers of a batch are drawn at once, a few for each image; pixels are only touched when they are asked for,
so that a share of a batch gets the same pixels as in the whole batch.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from cultureclip.clip.settings import AugmentationSettings


@dataclass(frozen=True)
class Augmentation:
    """Changes to each of N images.

    A point u of the new picture shows the point ``centre + reach * u`` of the old one, both from -1 (left, top) to 1
    (right, bottom); a negative reach mirrors.

    Attributes:
        centre: float [N, 2], x then y.
        reach: float [N, 2], x then y.
        contrast: float [N, 3], factor on each channel's distance from white.
    """

    centre: Tensor
    reach: Tensor
    contrast: Tensor

    def __getitem__(self, places: slice) -> "Augmentation":
        """Return the draws of some of the images."""
        return Augmentation(self.centre[places], self.reach[places], self.contrast[places])

    def apply(self, pixels: Tensor) -> Tensor:
        """Change N images; continue their outermost pixels beyond the old border.

        Args:
            pixels: float [N, 3, H, W] in [0, 1].
        """
        x, y = (
            (self.centre[:, axis, None] + self.reach[:, axis, None] * _pixel_centres(size)).to(pixels.device)
            for axis, size in ((0, pixels.shape[3]), (1, pixels.shape[2]))
        )
        grid = torch.stack([x[:, None, :].expand(-1, y.shape[1], -1), y[:, :, None].expand(-1, -1, x.shape[1])], dim=-1)
        moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
        contrast = self.contrast[:, :, None, None].to(pixels.device)
        return (1 - (1 - moved) * contrast).clamp(0, 1)


def draw_augmentation(mirrorable: Tensor, settings: AugmentationSettings, generator: torch.Generator) -> Augmentation:
    """Draw the changes of N images: eleven numbers per image, whatever the settings are.

    A crop has its share of the picture's area drawn evenly and its aspect ratio evenly on a log scale, as in
    Szegedy et al. 2014 (arXiv 1409.4842); a ratio at which that area does not fit in the picture is taken to the
    nearest that does.

    Args:
        mirrorable: bool [N], which images may be mirrored.
        settings: Strength of the changes.
        generator: Source of all randomness, on the CPU.
    """
    count = len(mirrorable)

    def uniform(*shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand((count, *shape), generator=generator)

    zoom = torch.exp(uniform(1) * settings.zoom)
    shift = uniform(2) * settings.shift
    contrast = 1 + uniform(3) * settings.colour
    area = uniform(low=settings.crop_area[0], high=settings.crop_area[1])
    ratio = torch.exp(uniform(low=math.log(settings.crop_ratio[0]), high=math.log(settings.crop_ratio[1])))
    ratio = torch.minimum(torch.maximum(ratio, area), 1 / area)
    edges = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], dim=1).clamp(max=1)
    corner = uniform(2) * (1 - edges)
    mirror = (uniform(low=0) < settings.mirror) & mirrorable
    direction = torch.stack([torch.where(mirror, -1.0, 1.0), torch.ones(count)], dim=1)
    return Augmentation(centre=corner + edges * shift, reach=edges * zoom * direction, contrast=contrast)


def _pixel_centres(size: int) -> Tensor:
    """Return the places of an edge's pixels from -1 to 1, float [size]."""
    return (2 * torch.arange(size) + 1) / size - 1


def mirrorable_concepts(concepts: pd.DataFrame, never: Collection[str]) -> set[str]:
    """Return the ids of the concepts whose pictures may be mirrored.

    Args:
        concepts: Table of concepts.
        never: Categories and universals that may not, in any case of letters.
    """
    barred = {name.casefold() for name in never}
    kept = ~(concepts["category"].str.casefold().isin(barred) | concepts["universal"].str.casefold().isin(barred))
    return set(concepts.loc[kept, "concept_id"])
