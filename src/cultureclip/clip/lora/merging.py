"""An adapter written into its base's weights."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cultureclip.clip.lora.adapter import TEMPERATURE
from cultureclip.clip.lora.low_rank import PACKED
from cultureclip.errors import WeightsError


def merge(
    base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], scale: float, update_scale: float = 1.0
) -> dict[str, Tensor]:
    """Return W + update_scale * scale * B A for every adapted weight; all other tensors of the base as they are.

    ``update_scale`` between 0 (the base) and 1 (the tuned model) is the interpolation of WiSE-FT
    (Wortsman et al. 2022, arXiv 2109.01903); the temperature is interpolated too.

    Args:
        base: State dict of the unadapted model.
        adapter: From :meth:`LoraAdapter.state`.
        scale: alpha / rank.
        update_scale: Share of the update to apply.

    Returns:
        A state dict in the base's layout, floating point in fp32.

    Raises:
        WeightsError: if the adapter names a weight that the base does not have.
    """
    merged = {name: t.float() if t.is_floating_point() else t for name, t in base.items()}
    for name, a in adapter.items():
        if name == TEMPERATURE:
            merged[name] = torch.lerp(merged[name], a.float().view_as(merged[name]), update_scale)
        elif name.endswith(".a"):
            site = name.removesuffix(".a")
            b = adapter[f"{site}.b"].float()
            weight, rows = _place(site, len(b), merged)
            changed = merged[weight].clone()
            changed[rows] += update_scale * scale * (b @ a.float())
            merged[weight] = changed
    return merged


def _place(site: str, outputs: int, base: Mapping[str, Tensor]) -> tuple[str, slice]:
    """Return the weight that a site's update belongs to, and its rows in it: query, key and value may share one."""
    parent, _, target = site.rpartition(".")
    if f"{site}.weight" in base:
        return f"{site}.weight", slice(None)
    if target == "out" and f"{parent}.out_proj.weight" in base:
        return f"{parent}.out_proj.weight", slice(None)
    if target in PACKED:
        start = PACKED.index(target) * outputs
        for weight in (f"{parent}.in_proj_weight", f"{parent}.weight"):
            if weight in base:
                return weight, slice(start, start + outputs)
    raise WeightsError(site, "the base has no such weight", "Use the base that the adapter's card names")
