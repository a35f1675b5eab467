"""Damages of pictures in four grades; the grade is the truth that authenticity is rated against."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as V

GRADES = 4
"""Grades of a damage: 1 is hardly seen, 4 leaves next to nothing of the picture."""

Damage = Callable[[Tensor, int, torch.Generator], Tensor]
"""A picture, float [3, H, W] in [-1, 1], a grade from 1 to 4, and the source of randomness -> the damaged picture."""


def _blurred(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001 - nothing is drawn
    sigma = picture.shape[-1] * (0.013, 0.024, 0.04, 0.075)[grade - 1]
    blurred: Tensor = V.gaussian_blur(picture, [2 * int(3 * sigma) + 1] * 2, [sigma, sigma])
    return blurred


def _noisy(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(picture.shape, generator=generator)
    return (picture + (0.15, 0.32, 0.6, 1.1)[grade - 1] * noise).clamp(-1, 1)


def _covered(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:
    size, share = picture.shape[-1], (0.08, 0.22, 0.42, 0.72)[grade - 1]
    edge = round(size * share**0.5)
    top, left = (int(torch.randint(size - edge + 1, (1,), generator=generator)) for _ in range(2))
    damaged = picture.clone()
    damaged[:, top : top + edge, left : left + edge] = torch.rand(3, 1, 1, generator=generator) * 2 - 1
    return damaged


def _faded(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    return 1 - (1 - picture) * (0.6, 0.38, 0.2, 0.07)[grade - 1]


def _pixelated(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    size = picture.shape[-1]
    small = F.interpolate(picture[None], size=max(2, round(size / (2, 3.4, 5.4, 9.6)[grade - 1])), mode="area")
    return F.interpolate(small, size=size, mode="nearest")[0]


def _speckled(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:
    hit = torch.rand(picture.shape[1:], generator=generator) < (0.03, 0.1, 0.25, 0.55)[grade - 1]
    grains = (torch.rand(picture.shape[1:], generator=generator) < 0.5).float() * 2 - 1
    return torch.where(hit, grains, picture)


def _smeared(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    width = max(3, round(picture.shape[-1] * (0.07, 0.15, 0.27, 0.5)[grade - 1]) | 1)
    padded = F.pad(picture[None], (width // 2, width // 2, 0, 0), mode="replicate")
    return F.avg_pool2d(padded, (1, width), stride=1)[0]


def _striped(picture: Tensor, grade: int, generator: torch.Generator) -> Tensor:
    size, period = picture.shape[-1], 6
    start = int(torch.randint(period, (1,), generator=generator))
    hidden = (torch.arange(size) + start) % period < (1, 2, 4, 5)[grade - 1]
    return torch.where(hidden[None, :, None], torch.full_like(picture, -0.2), picture)


TRAINED: dict[str, Damage] = {
    "blurred": _blurred,
    "noisy": _noisy,
    "covered": _covered,
    "faded": _faded,
    "pixelated": _pixelated,
}
"""Damages that the judge is trained on."""
UNTRAINED: dict[str, Damage] = {"speckled": _speckled, "smeared": _smeared, "striped": _striped}
"""Damages that the judge meets in its measurement only."""


def damage(picture: Tensor, name: str, grade: int, generator: torch.Generator) -> Tensor:
    """Damage a picture.

    Args:
        picture: float [3, H, W] in [-1, 1].
        name: A key of :data:`TRAINED` or :data:`UNTRAINED`.
        grade: From 1 to 4.
        generator: Source of all randomness.

    Returns:
        Same shape, in [-1, 1].
    """
    return (TRAINED | UNTRAINED)[name](picture, grade, generator).clamp(-1, 1)
