"""Training of the last blocks alone: what the frozen blocks below them make of each input is computed once and kept.

With the adapter in the last k blocks and images that are not changed at random, the input of block L - k is the same in
every step. A step then runs k blocks of each tower instead of all L, forward and backward.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from tqdm.auto import tqdm

from cultureclip.clip.batches import TwinData
from cultureclip.clip.pixels import gather, normalise
from cultureclip.clip.replay import Replay
from cultureclip.clip.towers import crop_tokens, embed_image, finish_image
from cultureclip.errors import ConfigurationError
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.text_tower import embed_text, finish_text

_CHUNK = 256


class _ReachedError(Exception):
    """Ends a forward pass at the boundary."""


@dataclass(frozen=True)
class Boundary:
    """Inputs of the first adapted block of each tower.

    Attributes:
        source: What the images and texts are of: training rows or general pairs.
        model: The open_clip model.
        blocks: How many blocks of each tower are run, k.
        images: float [N, P, W], of every distinct image; a file mapped into memory.
        texts: float [T, L, W], of every distinct text, as long as the longest.
    """

    source: object
    model: Any
    blocks: int
    images: np.ndarray
    texts: np.ndarray

    def embed_images(self, places: Tensor) -> Tensor:
        """Embeddings [n, D] of images, at their own length, fp32."""
        x = self._run(self.model.visual.transformer.resblocks, self._kept(self.images, places), None)
        return finish_image(self.model, x)

    def embed_texts(self, places: Tensor, tokens: Tensor) -> Tensor:
        """Embeddings [n, D] of texts, at their own length, fp32.

        Args:
            places: int64 [n], of the texts.
            tokens: int64 [n, l], their tokens, cropped.
        """
        length = tokens.shape[1]
        mask = None if self.model.attn_mask is None else self.model.attn_mask[:length, :length]
        x = self._run(self.model.transformer.resblocks, self._kept(self.texts, places)[:, :length], mask)
        return finish_text(self.model, x, tokens)

    def _kept(self, source: np.ndarray, places: Tensor) -> Tensor:
        return gather(source, places).to(next(self.model.parameters()).device)

    def _run(self, blocks: nn.ModuleList, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in blocks[-self.blocks :]:
            x = block(x, attn_mask=mask)
        return x


def compute_boundary(source: TwinData | Replay, encoder: ImageTextEncoder, blocks: int, folder: Path) -> Boundary:
    """Run every distinct image and text up to the boundary.

    Args:
        source: Training rows or general pairs.
        encoder: The model, adapted in its last blocks or not at all.
        blocks: k.
        folder: Where the files are written.

    Raises:
        ConfigurationError: its towers are not open_clip's own transformers.
    """
    model, tokens = encoder.model, source.tokens
    if not (isinstance(model, CLIP) and isinstance(model.visual, VisionTransformer)):
        raise ConfigurationError(
            "trainer.keep_boundary", "the model's towers are not open_clip's own transformers", "Set it to false"
        )
    cropped = crop_tokens(model, tokens).to(encoder.device)
    folder.mkdir(parents=True, exist_ok=True)
    images = _fill(
        folder / "images.npy",
        len(source.pixels),
        model.visual.transformer.resblocks[-blocks],
        lambda places: embed_image(model, normalise(gather(source.pixels, places).float() / 255, encoder)),
    )
    texts = _fill(
        folder / "texts.npy",
        len(tokens),
        model.transformer.resblocks[-blocks],
        lambda places: embed_text(model, cropped[places.to(encoder.device)]),
    )
    return Boundary(source, model, blocks, images, texts)


@torch.no_grad()
def _fill(path: Path, count: int, block: ResidualAttentionBlock, embed: Callable[[Tensor], Tensor]) -> np.ndarray:
    """What reaches a block, for every place, in a file."""
    kept: np.memmap | None = None
    for places in tqdm(torch.arange(count).split(_CHUNK), desc="frozen blocks", disable=count <= _CHUNK):
        reached = _input_of(block, embed, places).float().cpu().numpy()
        if kept is None:
            kept = np.lib.format.open_memmap(path, "w+", np.float32, (count, *reached.shape[1:]))
        kept[places.numpy()] = reached
    assert kept is not None  # noqa: S101 (there is at least one image and one text)
    kept.flush()
    return kept


def _input_of(block: nn.Module, embed: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    """The input of a block in a forward pass, which ends there."""
    caught: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught.append(inputs[0])
        raise _ReachedError

    handle = block.register_forward_pre_hook(catch)
    try:
        embed(places)
    except _ReachedError:
        pass
    finally:
        handle.remove()
    return caught[0]
