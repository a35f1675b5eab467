"""Train only the last blocks: activations of the frozen blocks below them are computed once and cached.

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
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from cultureclip.clip.data.batches import TwinData
from cultureclip.clip.data.pixels import gather, npy_header, open_pixels, shown
from cultureclip.clip.data.replay import Replay
from cultureclip.clip.data.towers import crop_tokens, embed_image, finish_image, pools_plainly
from cultureclip.clip.towers.embedding import finish_image_pooled, finish_text_pooled, pools_one_image_token
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import ConfigurationError, StorageError
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.text_tower import embed_text, finish_text

_CHUNK = 256


class _ReachedError(Exception):
    """Ends a forward pass at the first adapted block."""


@dataclass(frozen=True)
class FrozenBlockCache:
    """Inputs of the first adapted block of each tower.

    Attributes:
        source: Origin of the images and texts: training rows or general pairs.
        model: The open_clip model.
        blocks: Number of blocks of each tower that are run, k.
        images: float [N, P, W], of every distinct image; a file mapped into memory.
        texts: float [T, L, W], of every distinct text, as long as the longest.
    """

    source: object
    model: Any
    blocks: int
    images: np.ndarray
    texts: np.ndarray

    def embed_images(self, places: Tensor) -> Tensor:
        """Return embeddings [n, D] of images, at their own length, fp32."""
        visual, x = self.model.visual, self._kept(self.images, places)
        blocks = visual.transformer.resblocks[-self.blocks :]
        if pools_one_image_token(visual):
            return finish_image_pooled(visual, blocks, x)
        return finish_image(self.model, _run(blocks, x, None))

    def embed_texts(self, places: Tensor, tokens: Tensor) -> Tensor:
        """Return embeddings [n, D] of texts, at their own length, fp32.

        Args:
            places: int64 [n], of the texts.
            tokens: int64 [n, l], their tokens, cropped.
        """
        length = tokens.shape[1]
        blocks, x = self.model.transformer.resblocks[-self.blocks :], self._kept(self.texts, places)[:, :length]
        embedded = finish_text_pooled(self.model, blocks, x, tokens)
        if embedded is not None:
            return embedded
        mask = None if self.model.attn_mask is None else self.model.attn_mask[:length, :length]
        return finish_text(self.model, _run(blocks, x, mask), tokens)

    def _kept(self, source: np.ndarray, places: Tensor) -> Tensor:
        return gather(source, places).to(next(self.model.parameters()).device)


def _run(blocks: nn.ModuleList, x: Tensor, mask: Tensor | None) -> Tensor:
    for block in blocks:
        x = block(x, attn_mask=mask)
    return x


def cache_frozen_blocks(
    source: TwinData | Replay, encoder: ImageTextEncoder, blocks: int, folder: Path
) -> FrozenBlockCache:
    """Run every distinct image and text through the frozen blocks, and keep the result.

    Args:
        source: Training rows or general pairs.
        encoder: The model, adapted in its last blocks or not at all.
        blocks: k.
        folder: Folder of the files.

    Raises:
        ConfigurationError: if its towers are not open_clip's own transformers, or the image tower pools by attention.
        StorageError: if the files cannot be written.
    """
    model, tokens = encoder.model, source.tokens
    if not (isinstance(model, CLIP) and isinstance(model.visual, VisionTransformer)):
        raise ConfigurationError(
            "trainer.cache_frozen_blocks", "the model's towers are not open_clip's own transformers", "Set it to false"
        )
    if not pools_plainly(model.visual):
        raise ConfigurationError(
            "trainer.cache_frozen_blocks", "the image tower pools by attention", "Set it to false for this base"
        )
    cropped = crop_tokens(model, tokens).to(encoder.device)
    folder.mkdir(parents=True, exist_ok=True)
    images = _fill(
        folder / "images.npy",
        len(source.pixels),
        _first_of_last(blocks, model.visual.transformer.resblocks),
        lambda places: embed_image(model, shown(source.pixels, places, encoder)),
    )
    texts = _fill(
        folder / "texts.npy",
        len(tokens),
        _first_of_last(blocks, model.transformer.resblocks),
        lambda places: embed_text(model, cropped[places.to(encoder.device)]),
    )
    return FrozenBlockCache(source, model, blocks, images, texts)


@torch.no_grad()
def _fill(path: Path, count: int, block: nn.Module, embed: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Write the inputs of a block, for every place, into a file: see :mod:`cultureclip.clip.data.pixels`."""
    try:
        with path.open("wb") as handle:
            chunks = torch.arange(count).split(_CHUNK)
            for places in progress_bar(chunks, desc="frozen blocks"):
                reached = _input_of(block, embed, places).float().cpu().contiguous().numpy()
                if not handle.tell():
                    handle.write(npy_header("<f4", (count, *reached.shape[1:])))
                handle.write(reached.data)
    except OSError as error:
        remedy = "Free disk space, set another work_dir, or set trainer.cache_frozen_blocks to false"
        raise StorageError(path, f"cannot be written ({error.strerror or error})", remedy) from error
    return open_pixels(path)


def _first_of_last(count: int, blocks: nn.ModuleList) -> nn.Module:
    """Return the block at which the last ``count`` begin; a tower that is not adapted may have fewer."""
    return blocks[-min(count, len(blocks))]


def _input_of(block: nn.Module, embed: Callable[[Tensor], Tensor], places: Tensor) -> Tensor:
    """Return the input of a block in a forward pass, which ends there."""
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
