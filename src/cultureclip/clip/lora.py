"""Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685) of open_clip's towers.

Each adapted projection gives W x + scale * B A dropout(x), with B = 0 at the start. The update runs beside the frozen
weights instead of being added to them: the backward pass then needs no gradient of the size of W.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock
from torch import Tensor, nn

from cultureclip.clip.settings import LoraSettings, Tower
from cultureclip.errors import ConfigurationError, WeightsError

PACKED = ("q", "k", "v")
TEMPERATURE = "logit_scale"


class LowRank(nn.Module):
    """x -> scale * B A dropout(x).

    Args:
        inputs: Size of x.
        outputs: Size of the result.
        lora: Rank, scale, dropout.
    """

    def __init__(self, inputs: int, outputs: int, lora: LoraSettings) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.empty(lora.rank, inputs)), nn.Parameter(torch.zeros(outputs, lora.rank))
        self.scale, self.dropout, self.enabled = lora.scale, lora.dropout, True

    def forward(self, x: Tensor) -> Tensor:
        """The update for inputs [..., inputs], [..., outputs]."""
        return F.linear(F.linear(F.dropout(x, self.dropout, self.training), self.a), self.b) * self.scale


class LoraLinear(nn.Module):
    """A frozen linear layer with a low-rank update beside it."""

    def __init__(self, base: nn.Linear, lora: LoraSettings) -> None:
        super().__init__()
        self.base, self.update = base, LowRank(base.in_features, base.out_features, lora)

    @property
    def weight(self) -> Tensor:
        """The frozen weights; open_clip asks an MLP's first layer for their dtype."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return self.base(x) + self.update(x) if self.update.enabled else self.base(x)


class LoraAttention(nn.Module):
    """Self-attention with the frozen weights of an ``nn.MultiheadAttention`` and low-rank updates beside them.

    Computes the same function in training and evaluation; ``nn.MultiheadAttention``'s fused evaluation path, which
    reads the packed weights directly and would miss the updates, is never entered.

    Args:
        base: The module whose place this one takes; kept, not copied.
        lora: Which of q, k, v and the output get an update.
    """

    def __init__(self, base: nn.MultiheadAttention, lora: LoraSettings) -> None:
        super().__init__()
        self.base, width = base, base.embed_dim
        names = [t for t in (*PACKED, "out") if t in lora.targets]
        self.updates = nn.ModuleDict({name: LowRank(width, width, lora) for name in names})

    def _update(self, name: str, x: Tensor, plain: Tensor) -> Tensor:
        update = self.updates[name] if name in self.updates else None  # noqa: SIM401 (a ModuleDict has no get)
        return plain + update(x) if isinstance(update, LowRank) and update.enabled else plain

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """Self-attention over [batch, length, width]; key and value must be the query.

        Args:
            query: [batch, length, width].
            key: The query.
            value: The query.
            need_weights: Must be False: the attention weights are never formed.
            attn_mask: Additive, [length, length].
        """
        if key is not query or value is not query or need_weights:
            raise NotImplementedError("LoraAttention is self-attention without returned weights")
        batch, length, width = query.shape
        packed = F.linear(query, self.base.in_proj_weight, self.base.in_proj_bias).chunk(3, dim=-1)
        q, k, v = (
            self._update(name, query, part).view(batch, length, self.base.num_heads, -1).transpose(1, 2)
            for name, part in zip(PACKED, packed, strict=True)
        )
        attn_mask = None if attn_mask is None else attn_mask.to(q.dtype)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        mixed = mixed.transpose(1, 2).reshape(batch, length, width)
        return self._update("out", mixed, self.base.out_proj(mixed)), None


def _tower(name: str) -> Tower | None:
    """Which tower a block belongs to, by its name; None for parts that are neither (CoCa's decoder)."""
    if name.startswith("visual."):
        return "image"
    return "text" if name.startswith(("transformer.", "text.")) else None


class LoraAdapter(nn.Module):
    """The trainable part of an adapted open_clip model: puts itself into the model and can be taken out again.

    The model's own parameters are frozen and never written, the temperature excepted if it is to learn.

    Args:
        model: An open_clip model with open_clip's own transformer blocks; changed in place.
        lora: Where the updates sit.
        seed: Of the initial A matrices.

    Raises:
        ConfigurationError: a tower to adapt has no such block (timm and Hugging Face towers).
    """

    def __init__(self, model: nn.Module, lora: LoraSettings, seed: int = 0) -> None:
        super().__init__()
        model.requires_grad_(False)
        self.sites = nn.ModuleDict()
        self._replaced: list[tuple[nn.Module, str, nn.Module]] = []
        found = set()
        for name, block in list(model.named_modules()):
            tower = _tower(name)
            if isinstance(block, ResidualAttentionBlock) and tower in lora.towers:
                self._adapt(name, block, lora)
                found.add(tower)
        if missing := set(lora.towers) - found:
            raise ConfigurationError(
                f"{' and '.join(sorted(missing))} tower", "has none of open_clip's own blocks", "Adapt another tower"
            )
        self._initialise(seed)
        self.to(next(model.parameters()).device)
        temperature = getattr(model, TEMPERATURE)
        self._kept_temperature = (temperature, temperature.detach().clone())
        if lora.train_temperature:
            self.logit_scale = temperature.requires_grad_(True)

    def _adapt(self, name: str, block: ResidualAttentionBlock, lora: LoraSettings) -> None:
        if {*PACKED, "out"} & set(lora.targets):
            attention = LoraAttention(block.attn, lora)
            self._replace(block, "attn", attention)
            for target, update in attention.updates.items():
                self.sites[f"{name}.attn.{target}".replace(".", "/")] = update
        if "mlp" in lora.targets:
            for layer in ("c_fc", "c_proj"):
                linear = LoraLinear(getattr(block.mlp, layer), lora)
                self._replace(block.mlp, layer, linear)
                self.sites[f"{name}.mlp.{layer}".replace(".", "/")] = linear.update

    def _replace(self, parent: nn.Module, name: str, module: nn.Module) -> None:
        self._replaced.append((parent, name, getattr(parent, name)))
        setattr(parent, name, module)

    def _initialise(self, seed: int) -> None:
        """A as nn.Linear's weights (Kaiming, a = sqrt 5), from the seed alone; B is zero already."""
        generator = torch.Generator().manual_seed(seed)
        for update in self.updates():
            nn.init.kaiming_uniform_(update.a, a=math.sqrt(5), generator=generator)

    def updates(self) -> Iterator[LowRank]:
        """All low-rank updates."""
        for module in self.sites.values():
            if isinstance(module, LowRank):
                yield module

    def size(self) -> int:
        """Number of parameters of all updates; the temperature is not counted."""
        return sum(p.numel() for p in self.sites.parameters())

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Within this context the model computes what the base computes (the temperature aside)."""
        try:
            for update in self.updates():
                update.enabled = False
            yield
        finally:
            for update in self.updates():
                update.enabled = True

    def state(self) -> dict[str, Tensor]:
        """Copies of all trained tensors by name, e.g. ``transformer.resblocks.0.attn.q.a``."""
        state = {name: t.detach().cpu().clone() for name, t in self.state_dict().items()}
        return {name.removeprefix("sites.").replace("/", "."): t for name, t in state.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state` gave.

        Raises:
            WeightsError: names or shapes are not this adapter's.
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
        """Put the base's own modules and temperature back; the model is bit for bit what it was."""
        for parent, name, module in reversed(self._replaced):
            setattr(parent, name, module)
        parameter, value = self._kept_temperature
        with torch.no_grad():
            parameter.copy_(value)


def merge(base: Mapping[str, Tensor], adapter: Mapping[str, Tensor], scale: float, update_scale: float = 1.0) -> dict:
    """W + update_scale * scale * B A for every adapted weight; all other tensors of the base as they are.

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
        WeightsError: the adapter names a weight that the base does not have.
    """
    merged = {name: t.float() if t.is_floating_point() else t for name, t in base.items()}
    for name, a in adapter.items():
        if name == TEMPERATURE:
            merged[name] = torch.lerp(merged[name], a.float().view_as(merged[name]), update_scale)
        elif name.endswith(".a"):
            site = name.removesuffix(".a")
            weight, rows = _place(site, a.shape[1])
            if weight not in merged:
                raise WeightsError(weight, "the base has no such weight", "Use the base that the adapter's card names")
            changed = merged[weight].clone()
            changed[rows] += update_scale * scale * (adapter[f"{site}.b"].float() @ a.float())
            merged[weight] = changed
    return merged


def _place(site: str, width: int) -> tuple[str, slice]:
    """The weight that a site's update belongs to, and its rows in it."""
    parent, _, target = site.rpartition(".")
    if target in PACKED:
        start = PACKED.index(target) * width
        return f"{parent}.in_proj_weight", slice(start, start + width)
    return (f"{parent}.out_proj.weight" if target == "out" else f"{site}.weight"), slice(None)
