"""Pictures that the pocket models learn from, and the augmentation they are seen through."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from cultureclip.concepts.emoji import Emoji, Style, render
from cultureclip.ids import hash_fraction

HELD_OUT_SHARE = 0.1
"""Share of the general emoji families that no pocket model sees: the general-retrieval benchmark."""


def split_emoji(emoji: tuple[Emoji, ...], culture_bound: set[str]) -> dict[str, str]:
    """Assign every emoji to ``culture`` (an atlas row), ``kin``, ``general`` or ``held_out``.

    ``kin`` are variants of a culture-bound drawing (man in tuxedo, woman in tuxedo) and flags outside the atlas: no
    model sees them and no benchmark uses them. The held-out tenth is drawn over families.

    Returns:
        char -> role.
    """
    families = {e.family for e in emoji if e.char in culture_bound}

    def role(e: Emoji) -> str:
        if e.char in culture_bound:
            return "culture"
        if e.family in families or e.is_flag:
            return "kin"
        return "held_out" if hash_fraction(e.family, "pocket-held-out") < HELD_OUT_SHARE else "general"

    return {e.char: role(e) for e in emoji}


def render_all(chars: list[str], style: Style, size: int) -> torch.Tensor:
    """Render many emoji: uint8 [N, 3, size, size]."""
    return torch.from_numpy(np.stack([render(c, style, size) for c in chars])).permute(0, 3, 1, 2).contiguous()


def to_float(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W] -> float in [-1, 1]."""
    return pictures.float().div(127.5).sub(1.0)


def augment(
    pictures: torch.Tensor,
    generator: torch.Generator,
    zoom: float = 0.15,
    shift: float = 0.06,
    degrees: float = 8.0,
    colour: float = 0.1,
) -> torch.Tensor:
    """Random zoom, shift, rotation and colour gain, one draw an image; never a mirror image (flags and scripts).

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
    ink = 1.0 - pictures  # white becomes 0, so that what lies outside the picture is white as well
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    ink = F.grid_sample(ink, grid, align_corners=False)
    ink = ink * (1.0 + uniform(batch, 3, 1, 1) * colour)
    return (1.0 - ink).clamp(-1.0, 1.0)
