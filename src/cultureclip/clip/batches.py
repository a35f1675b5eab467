"""From rows of twins to what one training step sees: 2B augmented images, and every distinct text once."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from cultureclip.clip.contracts import ImageSource
from cultureclip.clip.settings import AugmentationSettings, TextSettings
from cultureclip.clip.towers import crop_tokens, tokenize
from cultureclip.errors import DamagedShardError, TrainingError
from cultureclip.models.encoder import ImageTextEncoder

logger = logging.getLogger(__name__)

HALVES = ("pos", "neg")
_READ_AT_ONCE = 256
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DamagedShardError, KeyError)


@dataclass(frozen=True)
class TwinData:
    """Rows of twins, decoded and tokenised once.

    Attributes:
        row_ids: Ids of the R rows that can be used.
        pixels: uint8 [N, 3, H, W], each distinct image once, at the model's input size.
        images: int64 [2, R], places in ``pixels``; the first axis is the half.
        tokens: int64 [T, L], each distinct text once.
        captions: int64 [2, R], places in ``tokens``.
        concepts: int64 [2, R], places in ``tokens``.
        unreadable: Ids of the images that could not be read; their rows are left out.
        cut_texts: How many texts were cut to the context length.
    """

    row_ids: list[str]
    pixels: Tensor
    images: Tensor
    tokens: Tensor
    captions: Tensor
    concepts: Tensor
    unreadable: list[str]
    cut_texts: int


@dataclass(frozen=True)
class TwinBatch:
    """What one step sees of B twins.

    Attributes:
        row_ids: The B rows.
        pixels: float [2B, 3, H, W], normalised as the model wants it; positive halves first.
        tokens: int64 [U, L], the batch's distinct texts, cropped.
        captions: int64 [2, B], places in ``tokens``.
        concepts: int64 [2, B], places in ``tokens``.
    """

    row_ids: list[str]
    pixels: Tensor
    tokens: Tensor
    captions: Tensor
    concepts: Tensor


def prepare(
    rows: pd.DataFrame, images: ImageSource, encoder: ImageTextEncoder, texts: TextSettings, max_unreadable_share: float
) -> TwinData:
    """Decode and tokenise rows of the ``cultwin`` table.

    Args:
        rows: Rows of one split, at least one.
        images: Where the pictures are.
        encoder: Whose preprocessing and tokenizer are used.
        texts: How rows become texts.
        max_unreadable_share: Of the distinct images.

    Raises:
        TrainingError: more images than that are unreadable, or no row is left.
        ConfigurationError: a text does not fit the context.
    """
    wanted = sorted({i for half in HALVES for i in rows[f"{half}_image_id"]})
    pixels, unreadable = decode(images, wanted, encoder)
    if len(unreadable) > max_unreadable_share * len(wanted):
        raise TrainingError(
            f"images {', '.join(unreadable[:3])}",
            f"{len(unreadable)} of {len(wanted)} images cannot be read, more than {max_unreadable_share:.1%}",
            "Run the synthesis pipeline again, or raise trainer.max_unreadable_share",
        )
    bad = set(unreadable)
    usable = rows[~(rows["pos_image_id"].isin(bad) | rows["neg_image_id"].isin(bad))]
    if unreadable:
        logger.warning("%d unreadable images, %d rows left out: %s", len(bad), len(rows) - len(usable), unreadable)
    if usable.empty:
        raise TrainingError("cultwin", f"none of {len(rows)} rows has two readable images", "Run the synthesis again")
    table = {
        field: [[write(cell) for cell in usable[f"{half}_{field}"]] for half in HALVES]
        for field, write in (("caption", str), ("concept", lambda c: texts.concept_template.replace("{concept}", c)))
    }
    distinct = sorted({text for halves in table.values() for half in halves for text in half})
    tokens, cut = tokenize(encoder.model, encoder.tokenizer, distinct, texts.long_caption)
    return TwinData(
        row_ids=list(usable["row_id"]),
        pixels=pixels,
        images=_places([i for i in wanted if i not in bad], [list(usable[f"{half}_image_id"]) for half in HALVES]),
        tokens=tokens,
        captions=_places(distinct, table["caption"]),
        concepts=_places(distinct, table["concept"]),
        unreadable=unreadable,
        cut_texts=cut,
    )


def _places(distinct: list[str], halves: list[list[str]]) -> Tensor:
    place = {item: i for i, item in enumerate(distinct)}
    return torch.tensor([[place[item] for item in half] for half in halves])


def decode(images: ImageSource, wanted: list[str], encoder: ImageTextEncoder) -> tuple[Tensor, list[str]]:
    """Decode images to the model's input size and keep them as bytes.

    Returns:
        uint8 [N, 3, H, W] of the readable ones, in the order of ``wanted``, and the ids of the others.
    """
    mean, std = _normalisation(encoder)
    kept, unreadable = [], []
    for start in tqdm(range(0, len(wanted), _READ_AT_ONCE), desc="decode images", disable=len(wanted) <= _READ_AT_ONCE):
        for identifier, image in _read(images, wanted[start : start + _READ_AT_ONCE]):
            try:
                pixels = encoder.preprocess(image.convert("RGB")) if image is not None else None
            except _UNREADABLE as error:
                logger.warning("image %s: %s", identifier, error)
                pixels = None
            if pixels is None:
                unreadable.append(identifier)
            else:  # the preprocessing ends with the normalisation of x / 255: undone, so that bytes can be kept
                kept.append(((pixels * std + mean) * 255).round().clamp(0, 255).to(torch.uint8))
    return (torch.stack(kept) if kept else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)), unreadable


def _read(images: ImageSource, ids: list[str]) -> Iterator[tuple[str, Image.Image | None]]:
    """Read many at once; if that fails, one by one, to find out which."""
    try:
        yield from zip(ids, images.read(ids), strict=True)
        return
    except _UNREADABLE as error:
        logger.warning("reading %d images failed (%s); reading them one by one", len(ids), error)
    for identifier in ids:
        try:
            yield identifier, images.read([identifier])[0]
        except _UNREADABLE as error:
            logger.warning("image %s: %s", identifier, error)
            yield identifier, None


def _normalisation(encoder: ImageTextEncoder) -> tuple[Tensor, Tensor]:
    """Channel means and standard deviations [3, 1, 1] that the model's pixels are normalised with."""
    config = encoder.model.visual.preprocess_cfg
    return torch.tensor(config["mean"]).view(3, 1, 1), torch.tensor(config["std"]).view(3, 1, 1)


def normalise(pixels: Tensor, encoder: ImageTextEncoder) -> Tensor:
    """Pixels in [0, 1], float [N, 3, H, W], as the model wants them, on its device."""
    mean, std = (t.to(encoder.device) for t in _normalisation(encoder))
    return (pixels.to(encoder.device) - mean) / std


def augment(pixels: Tensor, settings: AugmentationSettings, generator: torch.Generator) -> Tensor:
    """Random zoom, shift and channel contrast, one draw an image; the border's pixels go on outside the picture.

    Args:
        pixels: float [N, 3, H, W] in [0, 1].
        settings: How far.
        generator: Source of all randomness, on the CPU.
    """

    def uniform(*shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator) * 2 - 1).to(pixels.device)

    theta = torch.zeros(len(pixels), 2, 3, device=pixels.device)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.exp(uniform(len(pixels)) * settings.zoom)
    theta[:, :, 2] = uniform(len(pixels), 2) * settings.shift
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    contrast = 1 + uniform(len(pixels), 3, 1, 1) * settings.colour
    return (1 - (1 - moved) * contrast).clamp(0, 1)


def make_batch(
    data: TwinData,
    rows: Tensor,
    encoder: ImageTextEncoder,
    augmentation: AugmentationSettings | None = None,
    generator: torch.Generator | None = None,
) -> TwinBatch:
    """Gather rows into a batch on the encoder's device.

    Args:
        data: Prepared rows.
        rows: int64 [B], places of rows.
        encoder: The model it is for.
        augmentation: None leaves the images as they are.
        generator: Needed with ``augmentation``.
    """
    device = encoder.device
    pixels = data.pixels[data.images[:, rows].flatten()].to(device).float() / 255
    if augmentation is not None and generator is not None:
        pixels = augment(pixels, augmentation, generator)
    texts, places = torch.stack([data.captions[:, rows], data.concepts[:, rows]]).unique(return_inverse=True)
    return TwinBatch(
        row_ids=[data.row_ids[i] for i in rows.tolist()],
        pixels=normalise(pixels, encoder),
        tokens=crop_tokens(encoder.model, data.tokens[texts]).to(device),
        captions=places[0].to(device),
        concepts=places[1].to(device),
    )


def draw_rows(count: int, batch: int, seed: int, step: int) -> Tensor:
    """Places of the rows of a step: epochs of shuffled rows, a rest smaller than a batch left for another epoch.

    Depends on (count, batch, seed, step) alone, so that a resumed run and every objective see the same batches.

    Returns:
        int64 [min(batch, count)].
    """
    batch = min(batch, count)
    epoch, place = divmod(step, count // batch)
    sequence = np.random.SeedSequence([seed, epoch])
    order = np.random.default_rng(sequence).permutation(count)
    return torch.from_numpy(order[place * batch : (place + 1) * batch])


def step_generator(seed: int, step: int) -> torch.Generator:
    """The CPU generator of a step: all that is random in it (augmentation, dropout) comes from here."""
    word = int(np.random.SeedSequence([seed, step, 1]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(word >> 1)
