"""Generate what is missing from a store, in batches that are fixed by the plan and not by what is there already.

The batch that an image is made in decides its last bits (matrix kernels depend on the shape). So batches are slices of
a shard's whole sorted plan, and a batch in which any image is missing is made again whole: after ``kill -9``, a rerun
gives the bytes of an undisturbed run.
"""

import logging
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd

from cultureclip import __version__
from cultureclip.engine.local import run_local
from cultureclip.engine.progress import progress_bar
from cultureclip.images.records import ImageRecord, encode_image
from cultureclip.images.settings import GenerationSettings
from cultureclip.images.store import ShardStore
from cultureclip.models.locate import locate

if TYPE_CHECKING:  # torch and diffusers are imported only when there is something to generate
    from PIL import Image

    from cultureclip.models.text_to_image import TextToImage

logger = logging.getLogger(__name__)

_RECORDED = ("torch", "diffusers", "transformers", "pillow")


@dataclass(frozen=True)
class Batch:
    """A slice of a shard's plan: B ids, prompts and seeds, and which of the ids are missing from the store."""

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    missing: frozenset[str]


@dataclass(frozen=True)
class ShardTask:
    """The batches of one shard that have to be made."""

    shard: str
    batches: tuple[Batch, ...]


@dataclass(frozen=True)
class Done:
    """A piece of work done.

    Attributes:
        made: Images made.
        stored: Batch sizes of the images that were stored.
        cut: Prompts that the model did not read to their end.
        seconds: What making the images took.
    """

    made: int = 0
    stored: tuple[int, ...] = ()
    cut: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class GenerationReport:
    """Counts and times of one run.

    Attributes:
        planned: Images asked for.
        present: Of those, stored before.
        made: Images made by this run, neighbours in a batch that were stored before included.
        seconds: Wall time, loading included.
        batch_sizes: Batch size used -> images stored.
        cut: Prompts of the images made that are longer than the model reads.
        other: Batch size -> images present before that this run would have made in a batch of another size.
        drawing: Seconds of the model at work, out of ``seconds``.
    """

    planned: int
    present: int
    made: int = 0
    seconds: float = 0.0
    batch_sizes: Counter[int] = field(default_factory=Counter)
    cut: set[str] = field(default_factory=set)
    other: Counter[int] = field(default_factory=Counter)
    drawing: float = 0.0

    @property
    def generated(self) -> int:
        """Images stored by this run."""
        return self.batch_sizes.total()

    def to_metrics(self) -> dict[str, Any]:
        """Return the figures as plain JSON, with the rate."""
        rate = self.generated / self.seconds if self.generated else 0.0
        return {
            "planned": self.planned,
            "present_before": self.present,
            "generated": self.generated,
            "redone_with_their_batch": self.made - self.generated,
            "prompts_cut": len(self.cut),
            "seconds": round(self.seconds, 3),
            "images_per_second": round(rate, 3),
            "images_by_batch_size": {str(size): count for size, count in sorted(self.batch_sizes.items())},
            "present_in_other_batch_size": {str(size): count for size, count in sorted(self.other.items())},
        }


def plan_missing(requests: pd.DataFrame, present: set[str], batch_size: int) -> list[ShardTask]:
    """Cut each shard's sorted plan into batches and keep those in which an image is missing.

    Args:
        requests: Table ``image_requests``, in any order.
        present: Ids that the store has.
        batch_size: Images a batch; the last of a shard may be shorter.
    """
    tasks = []
    for shard, rows in requests.sort_values("image_id").groupby("shard", sort=True):
        ids, prompts, seeds = (tuple(rows[column].tolist()) for column in ("image_id", "prompt", "seed"))
        batches = []
        for start in range(0, len(ids), batch_size):
            cut = slice(start, start + batch_size)
            if missing := frozenset(ids[cut]) - present:
                batches.append(Batch(ids[cut], prompts[cut], seeds[cut], missing))
        if batches:
            tasks.append(ShardTask(str(shard), tuple(batches)))
    return tasks


def take_batches(requests: pd.DataFrame, count: int, batch_size: int) -> pd.DataFrame:
    """Take the first images of a plan in the order of their ids, and the others of their batches.

    A plan of these alone has the batches of the whole plan: their images are those of an undisturbed run.

    Args:
        requests: Table ``image_requests``, in any order.
        count: Images to take, at most as many as there are.
        batch_size: Images per batch; the last batch of a shard may be shorter.
    """
    ordered = requests.sort_values("image_id", ignore_index=True)
    batch = ordered.groupby("shard").cumcount() // batch_size
    shard, last = ordered["shard"], count - 1
    taken: pd.Series = (shard < shard[last]) | ((shard == shard[last]) & (batch <= batch[last]))
    return ordered.loc[taken]


def find_other_batches(requests: pd.DataFrame, store: ShardStore, batch_size: int) -> Counter[int]:
    """Count images present whose batch was of another size than the plan's: their last bits may differ.

    Args:
        requests: Table ``image_requests``.
        store: Where images lie; it knows the size of the batch of each.
        batch_size: Images per batch; the last batch of a shard may be shorter.

    Returns:
        Batch size of the image present -> count.
    """
    ordered = requests.sort_values("image_id")
    shards = ordered.groupby("shard")
    start = shards.cumcount() // batch_size * batch_size
    planned = (shards["image_id"].transform("size") - start).clip(upper=batch_size)
    used = ordered["image_id"].map(store.batch_sizes())
    return Counter(used[used.notna() & (used != planned)].astype(int))


def generate_missing(requests: pd.DataFrame, store: ShardStore, settings: GenerationSettings) -> GenerationReport:
    """Generate and store the requested images that the store does not have; the model is loaded only if there are any.

    Args:
        requests: Table ``image_requests``.
        store: Gets the new images, one part at a time.
        settings: How.

    Raises:
        ConfigurationError: if a call argument does not exist, or one image alone does not fit into memory.
        WeightsError: if the model cannot be loaded.
        StorageError: if the disk is full; finished parts stay.
    """
    start = time.monotonic()
    store.find_unconfirmed()
    present = store.present()
    tasks = plan_missing(requests, present, settings.batch_size)
    other = find_other_batches(requests, store, settings.batch_size)
    report = GenerationReport(len(requests), int(requests["image_id"].isin(present).sum()), other=other)
    if other:
        logger.warning(
            "Synthesis: %d of the images present were made in batches of another size (%s) than this run's %d; "
            "docs/how-it-works.md says by how much such pictures differ",
            other.total(),
            ", ".join(f"{count} in {size}" for size, count in sorted(other.items())),
            settings.batch_size,
        )
    total = sum(len(batch.ids) for task in tasks for batch in task.batches)
    make_worker = partial(ShardWorker, settings, store)
    with progress_bar(total=total, desc="synthesis", unit="image", disable=not tasks) as bar:
        for done in run_local(make_worker, tasks):
            bar.update(done.made)
            report.made += done.made
            report.drawing += done.seconds
            report.batch_sizes.update(done.stored)
            report.cut.update(done.cut)
    if report.cut:
        logger.warning(
            "Synthesis: the model's text encoders do not read %d prompts to the end, e.g. %r",
            len(report.cut),
            min(report.cut),
        )
    report.seconds = time.monotonic() - start
    return report


class ShardWorker:
    """Holds the model and works through shards.

    Args:
        settings: How to generate.
        store: Where to.
    """

    def __init__(self, settings: GenerationSettings, store: ShardStore) -> None:
        from cultureclip.models.text_to_image import check_call, load_text_to_image

        folder, self.call = locate(settings.model), settings.call.arguments()
        check_call(folder, self.call)
        self.model = load_text_to_image(folder, settings.device, settings.dtype, settings.scheduler)
        self.settings, self.store = settings, store
        self.versions = {name: version(name) for name in _RECORDED}
        self.versions |= {"cultureclip": __version__, "device": settings.device, "machine": platform.machine()}

    def __call__(self, task: ShardTask) -> Iterator[Done]:
        """Make a shard's batches and store them in parts; yields after every batch and every part."""
        records: list[ImageRecord] = []
        for batch in task.batches:
            start = time.monotonic()
            records += self._make(batch)
            seconds = time.monotonic() - start
            yield Done(len(batch.ids), cut=self.model.find_cut(batch.prompts), seconds=seconds)
            if len(records) >= self.settings.part_size or batch is task.batches[-1]:
                self.store.write_part(task.shard, records)
                yield Done(stored=tuple(record.batch_size for record in records))
                records = []

    def _make(self, batch: Batch) -> list[ImageRecord]:
        images, size = generate_halving(self.model, batch, self.call)
        return [
            encode_image(image_id, image, len(batch.ids[place - place % size :][:size]), self.versions)
            for place, (image_id, image) in enumerate(zip(batch.ids, images, strict=True))
            if image_id in batch.missing
        ]


def generate_halving(model: "TextToImage", batch: Batch, call: Mapping[str, Any]) -> tuple[list["Image.Image"], int]:
    """Generate a batch; when memory runs out, all of it again in halves, down to one image at a time.

    Every batch begins whole, whatever fitted before it: its slices are the same in a rerun that makes only some.

    Args:
        model: The pipeline.
        batch: What to generate.
        call: Arguments of the pipeline's call.

    Returns:
        The images and the size that fitted.

    Raises:
        ConfigurationError: if memory runs out with one image.
    """
    from cultureclip.models.memory import fitting_into_memory, halve_until_it_fits

    def generate(size: int) -> list["Image.Image"]:
        cuts = [slice(start, start + size) for start in range(0, len(batch.ids), size)]
        return [image for cut in cuts for image in model.generate(batch.prompts[cut], batch.seeds[cut], call)]

    remedy = "Lower synthesis.call.height and width, set dtype: bfloat16, or use a larger device"
    with fitting_into_memory(f"image {batch.ids[0]}", remedy):
        return halve_until_it_fits(generate, len(batch.ids))
