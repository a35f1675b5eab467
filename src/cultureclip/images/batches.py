"""The batches of a plan: slices of each shard's sorted ids, the same whatever is present."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from cultureclip.engine.job import slice_name
from cultureclip.images.store import ShardStore


@dataclass(frozen=True)
class Batch:
    """A slice of a shard's plan: B ids, prompts and seeds, and which of the ids are missing from the store."""

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    missing: frozenset[str]


@dataclass(frozen=True)
class ShardTask:
    """The batches of one part of a shard to generate.

    Attributes:
        shard: The shard.
        batches: Those with a missing image.
        name: Name of the part in the plan, the same whatever is missing.
    """

    shard: str
    batches: tuple[Batch, ...]
    name: str


def plan_missing(requests: pd.DataFrame, present: set[str], batch_size: int, part_size: int) -> list[ShardTask]:
    """Cut each shard's sorted plan into parts, and these into batches, and keep those with a missing image.

    Args:
        requests: Table ``image_requests``, in any order.
        present: Ids that the store has.
        batch_size: Images a batch; the last of a shard may be shorter.
        part_size: Images per stored file, rounded up to whole batches.
    """
    tasks, per_part = [], -(-part_size // batch_size) * batch_size
    for shard, rows in requests.sort_values("image_id").groupby("shard", sort=True):
        ids, prompts, seeds = (tuple(rows[column].tolist()) for column in ("image_id", "prompt", "seed"))
        for first in range(0, len(ids), per_part):
            part = range(first, min(first + per_part, len(ids)), batch_size)
            cuts = [slice(start, start + batch_size) for start in part]
            batches = [
                Batch(ids[cut], prompts[cut], seeds[cut], missing)
                for cut in cuts
                if (missing := frozenset(ids[cut]) - present)
            ]
            if batches:
                tasks.append(ShardTask(str(shard), tuple(batches), slice_name(ids[first : first + per_part])))
    return tasks


def take_batches(requests: pd.DataFrame, count: int, batch_size: int) -> pd.DataFrame:
    """Take the first images of a plan in the order of their ids, and the others of their batches.

    A plan of only these has the batches of the whole plan: their images are those of an undisturbed run.

    Args:
        requests: Table ``image_requests``, in any order.
        count: Images to take, at most all.
        batch_size: Images per batch; the last batch of a shard may be shorter.
    """
    ordered = requests.sort_values("image_id", ignore_index=True)
    batch = _batch_numbers(ordered, batch_size)
    shard, last = ordered["shard"], count - 1
    taken: pd.Series = (shard < shard[last]) | ((shard == shard[last]) & (batch <= batch[last]))
    return ordered.loc[taken]


def _batch_numbers(ordered: pd.DataFrame, batch_size: int) -> pd.Series:
    """Return the number within its shard of each image's batch; rows are in the order of their ids."""
    return ordered.groupby("shard").cumcount() // batch_size


def find_other_batches(
    requests: pd.DataFrame, present: set[str], store: ShardStore, batch_size: int, *, padded: bool = False
) -> Counter[int]:
    """Count the present images whose batch size differs from the plan's: their last bits may differ.

    Args:
        requests: Table ``image_requests``.
        present: Ids that the store has.
        store: Store of the images, with the batch size of each.
        batch_size: Images per batch; the last batch of a shard may be shorter.
        padded: Whether it is filled up.

    Returns:
        Batch size of the image present -> count.
    """
    used = store.find_batch_sizes()
    other: Counter[int] = Counter()
    for _, rows in requests.groupby("shard", sort=False):
        ids = sorted(rows["image_id"].tolist())
        last = len(ids) - len(ids) % batch_size  # behind it is the shorter batch
        shorter = batch_size if padded else len(ids) - last
        for planned, part in ((batch_size, ids[:last]), (shorter, ids[last:])):
            sizes = Counter(used[image_id] for image_id in part if image_id in present)
            del sizes[planned]
            other += sizes
    return other
