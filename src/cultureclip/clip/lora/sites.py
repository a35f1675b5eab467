"""Places for low-rank updates: the families of transformer blocks in open_clip's towers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

from timm.layers import Attention as TimmAttention
from torch import nn

from cultureclip.clip.lora.low_rank import PACKED, LoraAttention, LoraLinear, LoraPackedLinear, LowRank
from cultureclip.clip.settings import LoraSettings, Target, Tower
from cultureclip.errors import ConfigurationError


@dataclass(frozen=True)
class Layout:
    """How a family of blocks names its projections.

    Attributes:
        name: The family, as an adapter's card names it.
        attention: Path of the attention below the block, and its class: what other classes do with the same parts is
            not known (timm's EVA reads ``qkv.weight`` past the layer).
        packed: Path of the module that holds query, key and value together; None if they are separate layers.
        linear: Target -> paths of its linear layers.
    """

    name: str
    attention: tuple[str, type[nn.Module]]
    packed: str | None
    linear: Mapping[Target, tuple[str, ...]]

    def fits(self, block: nn.Module) -> bool:
        """Tell whether a module is a block of this family."""
        path, kind = self.attention
        layers = [path for paths in self.linear.values() for path in paths]
        return _is(block, path, kind) and all(_is(block, layer, nn.Linear) for layer in layers)


LAYOUTS = (
    Layout("open_clip", ("attn", nn.MultiheadAttention), "attn", {"mlp": ("mlp.c_fc", "mlp.c_proj")}),
    Layout("timm", ("attn", TimmAttention), "attn.qkv", {"out": ("attn.proj",), "mlp": ("mlp.fc1", "mlp.fc2")}),
    Layout(
        "bert",  # and RoBERTa, XLM-RoBERTa, CamemBERT, ...
        ("attention.self", nn.Module),
        None,
        {
            "q": ("attention.self.query",),
            "k": ("attention.self.key",),
            "v": ("attention.self.value",),
            "out": ("attention.output.dense",),
            "mlp": ("intermediate.dense", "output.dense"),
        },
    ),
)


class Block(NamedTuple):
    """A transformer block, by its name in the model."""

    name: str
    module: nn.Module
    layout: Layout


class Adapted(NamedTuple):
    """Replacement of a block's projection: its path, the module, and the updates by path below the block."""

    path: str
    module: nn.Module
    updates: Mapping[str, LowRank]


def find_blocks(model: nn.Module, tower: Tower, last: int | None) -> list[Block]:
    """Return the blocks of one tower that are to be adapted, first to last.

    Args:
        model: An open_clip model.
        tower: Which tower.
        last: Number of blocks, counted from the output; None for all.

    Raises:
        ConfigurationError: if the tower has no block of a known family, or fewer than ``last``.
    """
    named = [(name, module) for name, module in model.named_modules() if _tower(name) == tower]
    blocks = [Block(name, module, layout) for name, module in named for layout in LAYOUTS if layout.fits(module)]
    if not blocks:
        raise ConfigurationError(
            f"{tower} tower",
            f"has no blocks of a known family ({', '.join(layout.name for layout in LAYOUTS)})",
            "Adapt only the other tower, or take a base with such blocks",
        )
    if last is not None and last > len(blocks):
        raise ConfigurationError(
            f"last_blocks {last}", f"the {tower} tower has {len(blocks)} blocks", "Ask for as many, or null for all"
        )
    return blocks if last is None else blocks[-last:]


def adapt(block: Block, lora: LoraSettings) -> Iterator[Adapted]:
    """Wrap the wanted projections of a block; the block itself is unchanged."""
    layout = block.layout
    if layout.packed is not None:
        base = block.module.get_submodule(layout.packed)
        wanted = [t for t in (*PACKED, "out") if t in lora.targets and t not in layout.linear]
        if wanted:
            wrapped: LoraAttention | LoraPackedLinear
            if isinstance(base, nn.MultiheadAttention):
                wrapped = LoraAttention(base, lora, wanted)
            else:
                wrapped = LoraPackedLinear(cast("nn.Linear", base), lora, wanted)
            updates = {f"{layout.packed}.{t}": u for t, u in wrapped.updates.items() if isinstance(u, LowRank)}
            yield Adapted(layout.packed, wrapped, updates)
    for target, paths in layout.linear.items():
        for path in paths if target in lora.targets else ():
            linear = LoraLinear(cast("nn.Linear", block.module.get_submodule(path)), lora)
            yield Adapted(path, linear, {path: linear.update})


def _tower(name: str) -> Tower | None:
    """Return which tower a module belongs to, by its name; None for parts that are neither (CoCa's decoder)."""
    if name.startswith("visual."):
        return "image"
    return "text" if name.startswith(("transformer.", "text.")) else None


def _is(block: nn.Module, path: str, kind: type[nn.Module]) -> bool:
    part: object = block
    for name in path.split("."):
        part = getattr(part, name, None)
    return isinstance(part, kind)
