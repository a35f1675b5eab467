"""From rows of twins to the input of one training step: 2B augmented images, and every distinct text once."""

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cultureclip.clip.data.augmentation import Augmentation, draw_augmentation
from cultureclip.clip.data.pixels import decode, gather, normalise, open_pixels, save_pixels
from cultureclip.clip.data.towers import crop_tokens, tokenize
from cultureclip.clip.settings import AugmentationSettings, TextSettings
from cultureclip.errors import TrainingError
from cultureclip.images.source import ImageSource
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically
from cultureclip.tables import NEGATIVE_COLUMNS

logger = logging.getLogger(__name__)

SIDES = ("pos", "neg")
TWINS_NAME = "twins.safetensors"
_TENSORS = ("images", "readable", "mirrorable", "tokens", "captions", "concepts")


@dataclass(frozen=True)
class TwinData:
    """Rows of twins, decoded and tokenised once.

    Attributes:
        row_ids: Ids of the R rows that can be used.
        pixels: uint8 [N, 3, H, W], each distinct image once, at the model's input size.
        images: int64 [2, R], places in ``pixels``; the first axis is the side.
        readable: bool [N]; an image that could not be read is shown to the model as zeros, if it is shown at all.
        mirrorable: bool [N], which images may be mirrored.
        tokens: int64 [T, L], each distinct text once.
        captions: int64 [2, R], places in ``tokens``.
        concepts: int64 [2, R], places in ``tokens``.
        negatives: int64 [2, R], places in ``tokens`` of the images' hard negatives, -1 where there is none; None where
            the rows have no such columns.
        unreadable: Id of an image that could not be read -> why.
        cut_texts: Number of texts cut to the context length.
    """

    row_ids: list[str]
    pixels: np.ndarray
    images: Tensor
    readable: Tensor
    mirrorable: Tensor
    tokens: Tensor
    captions: Tensor
    concepts: Tensor
    unreadable: dict[str, str]
    cut_texts: int
    negatives: Tensor | None = None

    def save(self, folder: Path) -> None:
        """Write the files from which another process can :meth:`load` the data; cached pixels are named, not copied."""
        pixels = save_pixels(self.pixels, folder)
        record = {"row_ids": self.row_ids, "unreadable": self.unreadable, "cut_texts": self.cut_texts, "pixels": pixels}
        tensors = {name: getattr(self, name) for name in _TENSORS}
        tensors |= {} if self.negatives is None else {"negatives": self.negatives}
        save_atomically(tensors, folder / TWINS_NAME, {"record": json.dumps(record)})

    @classmethod
    def load(cls, folder: Path) -> "TwinData":
        """Return the data that :meth:`save` wrote; the pixels are mapped into memory, not read.

        Raises:
            WeightsError: if the file is missing or damaged.
            StorageError: if the pixels are gone or cut off.
        """
        tensors, metadata = load_tensors(folder / TWINS_NAME)
        record = json.loads(metadata["record"])
        return cls(**{**record, **tensors, "pixels": open_pixels(folder / record["pixels"])})


@dataclass(frozen=True)
class TwinBatch:
    """Inputs of one step: B twins.

    Attributes:
        row_ids: The B rows.
        tokens: int64 [U, L], the batch's distinct texts, cropped.
        texts: int64 [U], their places in ``data.tokens``.
        captions: int64 [2, B], places in ``tokens``.
        concepts: int64 [2, B], places in ``tokens``.
        images: int64 [2B], places in ``data.pixels``; positive sides first.
        data: Data that the rows come from.
        augmentation: Changes of the 2B images; None for no changes.
        encoder: The model it is for.
        negatives: int64 [2, B], places in ``tokens`` of hard negatives; None where the data has none.
        has_negative: bool [2, B], which images have one; None likewise.
    """

    row_ids: list[str]
    tokens: Tensor
    texts: Tensor
    captions: Tensor
    concepts: Tensor
    images: Tensor
    data: TwinData
    augmentation: Augmentation | None
    encoder: ImageTextEncoder
    negatives: Tensor | None = None
    has_negative: Tensor | None = None

    @property
    def count(self) -> int:
        """Number of images, 2B."""
        return len(self.images)

    @property
    def shown(self) -> Tensor:
        """Which sides have a picture of their own, bool [2, B]: a row of one picture has it on both sides."""
        pos, neg = self.images.unflatten(0, (2, -1))
        return torch.stack([torch.ones_like(pos, dtype=torch.bool), pos != neg])

    def pixels(self, places: slice = slice(None)) -> Tensor:
        """Return some of the batch's images, each the same whatever others are asked for with it.

        Args:
            places: Positions among the 2B images; positive sides come first.

        Returns:
            float [len, 3, H, W], normalised as the model wants it, on its device.
        """
        images = self.images[places]
        pixels = gather(self.data.pixels, images).to(self.encoder.device).float() / 255
        if self.augmentation is not None:
            pixels = self.augmentation[places].apply(pixels)
        pixels = normalise(pixels, self.encoder)
        unreadable = ~self.data.readable[images]
        if unreadable.any():
            pixels[unreadable.to(pixels.device)] = 0
        return pixels


def prepare(
    rows: pd.DataFrame,
    images: ImageSource,
    encoder: ImageTextEncoder,
    texts: TextSettings,
    max_unreadable_share: float,
    *,
    cache_dir: Path | None = None,
    mirrorable: Collection[str] = (),
    zeros_for_unreadable: bool = False,
) -> TwinData:
    """Decode and tokenise rows of the ``cultwin`` table.

    Args:
        rows: Rows of one split, at least one.
        images: Store of the pictures.
        encoder: Whose preprocessing and tokenizer are used.
        texts: Rule for a row's texts.
        max_unreadable_share: Largest share of unreadable images among the distinct ones.
        cache_dir: Cache of decoded images for other trainings; None keeps them in memory.
        mirrorable: Ids of concepts whose images may be mirrored, unless an image also shows another concept.
        zeros_for_unreadable: Keep rows with an unreadable image, however many, and show zeros in its place, as the
            published code does.

    Raises:
        TrainingError: if the share of unreadable images is larger, or no row is left.
        ConfigurationError: if a text does not fit the context.
        DamagedShardError: if images are in a damaged shard.
        StorageError: if the cache cannot be written.
    """
    wanted = sorted({i for side in SIDES for i in rows[f"{side}_image_id"]})
    decoded = decode(images, wanted, encoder, cache_dir)
    bad = decoded.unreadable
    if bad:
        fate = "shown as zeros" if zeros_for_unreadable else "left out with their rows"
        logger.warning("%d unreadable images of %d, %s: %s", len(bad), len(wanted), fate, bad)
    usable = rows if zeros_for_unreadable else _readable_rows(rows, bad, len(wanted), max_unreadable_share)
    table = {
        field: [[write(cell) for cell in usable[f"{side}_{field}"]] for side in SIDES]
        for field, write in (("caption", str), ("concept", lambda c: texts.concept_template.replace("{concept}", c)))
    }
    known = [
        usable[name].astype(object).where(usable[name].notna(), None) for name in NEGATIVE_COLUMNS if name in usable
    ]
    negatives = [column.tolist() for column in known]
    written = [text for sides in (*table.values(), negatives) for side in sides for text in side]
    distinct = sorted({text for text in written if text is not None})
    tokens, cut = tokenize(encoder.model, encoder.tokenizer, distinct, texts.long_caption)
    places = _places(wanted, [list(usable[f"{side}_image_id"]) for side in SIDES])
    return TwinData(
        row_ids=list(usable["row_id"]),
        pixels=decoded.pixels,
        images=places,
        readable=torch.tensor([i not in bad for i in wanted]),
        mirrorable=_mirrorable_images(usable, places, len(wanted), mirrorable),
        tokens=tokens,
        captions=_places(distinct, table["caption"]),
        concepts=_places(distinct, table["concept"]),
        negatives=_places(distinct, negatives) if negatives else None,
        unreadable=bad,
        cut_texts=cut,
    )


def _readable_rows(rows: pd.DataFrame, bad: Mapping[str, str], images: int, max_share: float) -> pd.DataFrame:
    """Return rows with two readable images; ``images`` is the number of distinct images."""
    if len(bad) > max_share * images:
        reason = next(iter(bad.values()))
        raise TrainingError(
            f"images {', '.join(list(bad)[:3])}",
            f"{len(bad)} of {images} images cannot be read, more than {max_share:.1%}; the first: {reason}",
            "Run the synthesis pipeline again, or raise trainer.max_unreadable_share",
        )
    usable = rows[~(rows["pos_image_id"].isin(bad) | rows["neg_image_id"].isin(bad))]
    if usable.empty:
        raise TrainingError("cultwin", f"none of {len(rows)} rows has two readable images", "Run the synthesis again")
    return usable


def _mirrorable_images(rows: pd.DataFrame, places: Tensor, count: int, mirrorable: Collection[str]) -> Tensor:
    """Return which of ``count`` images show nothing but concepts that may be mirrored, bool [count]."""
    allowed = torch.ones(count, dtype=torch.bool)
    for side, where in zip(SIDES, places, strict=True):
        allowed[where[torch.tensor([concept not in mirrorable for concept in rows[f"{side}_concept_id"]])]] = False
    return allowed


def _places(distinct: list[str], sides: Sequence[Sequence[str | None]]) -> Tensor:
    """Return the places of texts or images, int64 [2, R]; -1 where there is none."""
    place: dict[str | None, int] = {item: i for i, item in enumerate(distinct)} | {None: -1}
    return torch.tensor([[place[item] for item in side] for side in sides])


def make_batch(
    data: TwinData,
    rows: Tensor,
    encoder: ImageTextEncoder,
    augmentation: AugmentationSettings | None = None,
    generator: torch.Generator | None = None,
) -> TwinBatch:
    """Gather rows into a batch; its pixels are made at their first use.

    Args:
        data: Prepared rows.
        rows: int64 [B], places of rows.
        encoder: The model it is for.
        augmentation: None leaves the images as they are.
        generator: Needed with ``augmentation``.
    """
    images = data.images[:, rows].flatten()
    drawn = None
    if augmentation is not None and generator is not None:
        drawn = draw_augmentation(data.mirrorable[images], augmentation, generator)  # the same numbers, used or not
        drawn = drawn if augmentation.changes_images else None
    fields = [data.captions[:, rows], data.concepts[:, rows]]
    negatives = None if data.negatives is None else data.negatives[:, rows]
    if negatives is not None:  # at an image without one stands its own caption, which is embedded anyhow
        fields.append(torch.where(negatives < 0, fields[0], negatives))
    texts, places = torch.stack(fields).unique(return_inverse=True)
    return TwinBatch(
        row_ids=[data.row_ids[i] for i in rows.tolist()],
        tokens=crop_tokens(encoder.model, data.tokens[texts]).to(encoder.device),
        texts=texts,
        captions=places[0].to(encoder.device),
        concepts=places[1].to(encoder.device),
        images=images,
        data=data,
        augmentation=drawn,
        encoder=encoder,
        negatives=None if negatives is None else places[2].to(encoder.device),
        has_negative=None if negatives is None else (negatives >= 0).to(encoder.device),
    )


def draw_rows(count: int, batch: int, seed: int, step: int) -> Tensor:
    """Return the places of a step's rows: epochs of shuffled rows; a rest smaller than a batch goes to another epoch.

    The result depends only on (count, batch, seed, step): a resumed run and every objective see the same batches.

    Returns:
        int64 [min(batch, count)].
    """
    batch = min(batch, count)
    epoch, place = divmod(step, count // batch)
    sequence = np.random.SeedSequence([seed, epoch])
    order = np.random.default_rng(sequence).permutation(count)
    return torch.from_numpy(order[place * batch : (place + 1) * batch])


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the CPU generator of a step: all that is random in it (augmentation, dropout) comes from here."""
    word = int(np.random.SeedSequence([seed, step, 1]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(word >> 1)
