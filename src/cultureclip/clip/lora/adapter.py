"""The trainable part of an adapted open_clip model."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn

from cultureclip.clip.lora.low_rank import LowRank
from cultureclip.clip.lora.sites import Block, adapt, find_blocks
from cultureclip.clip.settings import LoraSettings, Tower
from cultureclip.errors import WeightsError

TEMPERATURE = "logit_scale"


class LoraAdapter(nn.Module):
    """Low-rank updates on a model's towers: puts itself into the model and can be taken out again.

    The model's own parameters are frozen and never written, the temperature excepted if it is to learn.

    Args:
        model: An open_clip model with transformer towers: open_clip's own, timm's ViT, Hugging Face's BERT and its
            kin; changed in place.
        lora: Settings of the updates.
        seed: Seed of the initial A matrices.

    Attributes:
        layout: Families of blocks that carry updates, image tower first: ``open_clip``, ``timm+bert``, ...

    Raises:
        ConfigurationError: if a tower to adapt has no blocks of these families, or fewer than ``last_blocks``; then the
            model is unchanged.
    """

    def __init__(self, model: nn.Module, lora: LoraSettings, seed: int = 0) -> None:
        super().__init__()
        towers = [tower for tower in get_args(Tower) if tower in lora.towers]
        blocks = [block for tower in towers for block in find_blocks(model, tower, lora.last_blocks)]
        self.layout = "+".join(dict.fromkeys(block.layout.name for block in blocks))
        self.sites = nn.ModuleDict()
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []
        self._learning = [p for p in model.parameters() if p.requires_grad]
        model.requires_grad_(False)
        for block in blocks:
            self._adapt(block, lora)
        self._initialise(seed)
        self.to(next(model.parameters()).device)
        temperature = getattr(model, TEMPERATURE)
        self._kept_temperature = (temperature, temperature.detach().clone())
        if lora.train_temperature:
            self.logit_scale = temperature.requires_grad_(True)

    def _adapt(self, block: Block, lora: LoraSettings) -> None:
        for path, module, updates in adapt(block, lora):
            owner, _, name = path.rpartition(".")
            parent = block.module.get_submodule(owner)
            module.train(parent.training)
            self._replaced.append((parent, name, getattr(parent, name)))
            setattr(parent, name, module)
            for site, update in updates.items():
                self.sites[f"{block.name}.{site}".replace(".", "/")] = update

    def _initialise(self, seed: int) -> None:
        """Initialise A like nn.Linear's weights (Kaiming, a = sqrt 5), from the seed alone; B is zero already."""
        generator = torch.Generator().manual_seed(seed)
        for update in self.updates():
            nn.init.kaiming_uniform_(update.a, a=math.sqrt(5), generator=generator)

    def updates(self) -> Iterator[LowRank]:
        """Yield all low-rank updates."""
        for module in self.sites.values():
            if isinstance(module, LowRank):
                yield module

    def size(self) -> int:
        """Return the number of parameters of all updates; the temperature is not counted."""
        return sum(p.numel() for p in self.sites.parameters())

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Make the model compute the base's outputs within this context (the temperature aside)."""
        try:
            for update in self.updates():
                update.enabled = False
            yield
        finally:
            for update in self.updates():
                update.enabled = True

    def state(self) -> dict[str, Tensor]:
        """Return copies of all trained tensors by name, e.g. ``transformer.resblocks.0.attn.q.a``."""
        state = {name: t.detach().cpu().clone() for name, t in self.state_dict().items()}
        return {name.removeprefix("sites.").replace("/", "."): t for name, t in state.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the tensors that :meth:`state` gave.

        Raises:
            WeightsError: if names or shapes are not this adapter's.
        """
        own = {name.removeprefix("sites.").replace("/", "."): name for name in self.state_dict()}
        if set(own) != set(state):
            difference = sorted(set(own) ^ set(state))
            raise WeightsError(
                "adapter", f"its tensors are not this layout's: {difference[:4]}", "Use its own settings"
            )
        try:
            self.load_state_dict({own[name]: tensor for name, tensor in state.items()})
        except RuntimeError as error:
            raise WeightsError(
                "adapter", f"its shapes do not fit ({error})", "Use its own settings and base"
            ) from error

    def remove(self) -> None:
        """Put the base's own modules and temperature back; the model is then bit for bit unchanged, and trainable."""
        for parent, name, module in reversed(self._replaced):
            setattr(parent, name, module)
        parameter, value = self._kept_temperature
        with torch.no_grad():
            parameter.requires_grad_(False).copy_(value)
        for parameter in self._learning:
            parameter.requires_grad_(True)
