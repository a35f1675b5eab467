"""Pictures that the pocket models learn from, and the augmentation they are seen through."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from cultureclip.pictures.emoji import Style, render


def render_all(chars: list[str], style: Style, size: int) -> torch.Tensor:
    """Render many emoji: uint8 [N, 3, size, size]."""
    return torch.from_numpy(np.stack([render(c, style, size) for c in chars])).permute(0, 3, 1, 2).contiguous()


def to_float(pictures: torch.Tensor) -> torch.Tensor:
    """Map uint8 [N, 3, H, W] -> float in [-1, 1]."""
    return pictures.float().div(127.5).sub(1.0)


def augment(
    pictures: torch.Tensor,
    generator: torch.Generator,
    zoom: float = 0.15,
    shift: float = 0.06,
    degrees: float = 8.0,
    colour: float = 0.1,
) -> torch.Tensor:
    """Draw random zoom, shift, rotation and colour gain, once per image; never a mirror image (flags and scripts).

    Args:
        pictures: float [B, 3, H, W] in [-1, 1], white background.
        generator: Source of all randomness.
        zoom: Largest relative change of size.
        shift: Largest shift as a share of half the edge.
        degrees: Largest rotation.
        colour: Largest relative change of each channel's ink.

    Returns:
        Same shape, in [-1, 1].
    """
    batch = len(pictures)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    angle = uniform(batch) * math.radians(degrees)
    scale = torch.exp(uniform(batch) * zoom)
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = angle.cos() * scale, -angle.sin() * scale
    theta[:, 1, 0], theta[:, 1, 1] = angle.sin() * scale, angle.cos() * scale
    theta[:, :, 2] = uniform(batch, 2) * shift
    ink = 1.0 - pictures  # white becomes 0, so that the outside of the picture is white as well
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    ink = F.grid_sample(ink, grid, align_corners=False)
    ink = ink * (1.0 + uniform(batch, 3, 1, 1) * colour)
    return (1.0 - ink).clamp(-1.0, 1.0)
