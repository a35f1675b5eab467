"""Generate one stored image again, in the batch that it was made in, and compare the two."""

import io
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.images.batches import Batch, plan_missing
from cultureclip.images.records import ImageRecord
from cultureclip.images.requests import read_recipe
from cultureclip.images.settings import GenerationSettings
from cultureclip.images.store import ShardStore
from cultureclip.images.worker import ShardWorker, pad


@dataclass(frozen=True)
class Comparison:
    """A stored image and its second making.

    Attributes:
        image_id: Id of both.
        equal: Whether both files have the same bytes.
        largest_difference: Largest difference of a colour value, of 255.
        psnr: Peak signal-to-noise ratio in dB; None for equal pixels.
        batch_sizes: Batch size then and now.
        versions: What differs of the software, the machine, the device and the options of memory: name -> then and
            now; None where it was not recorded.
    """

    image_id: str
    equal: bool
    largest_difference: int
    psnr: float | None
    batch_sizes: tuple[int, int]
    versions: dict[str, tuple[str | None, str | None]]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON."""
        return {
            "image_id": self.image_id,
            "equal": self.equal,
            "largest_difference": self.largest_difference,
            "psnr": self.psnr,
            "batch_size": dict(zip(("then", "now"), self.batch_sizes, strict=True)),
            "differing_versions": {
                name: dict(zip(("then", "now"), pair, strict=True)) for name, pair in self.versions.items()
            },
        }

    def say(self) -> str:
        """Return the result as one sentence and the circumstances as another."""
        then, now = self.batch_sizes
        if self.equal:
            result = "equal, byte for byte"
        elif self.psnr is None:
            result = "equal pixels in another file"
        else:
            result = f"differs by at most {self.largest_difference} of 255, PSNR {self.psnr:.1f} dB"
        batch = f"same batch size ({now})" if then == now else f"other batch size ({then} then, {now} now)"
        changed = [
            f"{name} ({one or 'not recorded'} then, {other or 'none'} now)"
            for name, (one, other) in self.versions.items()
        ]
        circumstances = f"other {', '.join(changed)}" if changed else "same machine and versions"
        return f"Image {self.image_id}: {result}; {batch}, {circumstances}"


def find_record(store: ShardStore, image_id: str) -> ImageRecord:
    """Return a stored image and its record.

    Raises:
        MissingInputError: if there is no such image.
        DamagedShardError: if its bytes do not match its checksum.
    """
    if store.find_missing([image_id]):
        present = sorted(store.present())
        known = f"Give the id of one of its {len(present)} images, such as {present[0]}" if present else ""
        remedy = known or "Run `kedro run --pipelines=synthesis` first"
        raise MissingInputError(f"image {image_id}", f"not in {store.root}", remedy)
    return store.record(image_id)


def find_batch(requests: pd.DataFrame, stored: ImageRecord, settings: GenerationSettings) -> Batch:
    """Find the batch of the plan in which an image was made; only this image of it is wanted.

    Where memory ran out, the batch was halved, and the image was made in a slice of it. If the plan has no batch of the
    recorded size, the image is repeated: the shape is the same, the neighbours are not.

    Args:
        requests: Table ``image_requests``.
        stored: The image.
        settings: Settings of the generation now.

    Raises:
        MissingInputError: if no row asks for the image.
        ConfigurationError: if the settings are not those that the image was made with.
    """
    image_id, size = stored.image_id, stored.batch_size
    asked = requests[requests["image_id"] == image_id]
    if asked.empty:
        cause = "stored, but this version of image_requests does not ask for it"
        remedy = "Name the version that does: --load-versions=image_requests:<version>"
        raise MissingInputError(f"image {image_id}", cause, remedy)
    row = asked.iloc[0]
    if read_recipe(settings).image_id(row["prompt"], int(row["k"])) != image_id:
        cause = "made with another model or other settings than `synthesis` has now"
        remedy = "Set the model and the parameters of its run, which data/08_reporting/run_manifest.json has"
        raise ConfigurationError(f"image {image_id}", cause, remedy)
    wanted = frozenset([image_id])
    others = set(requests["image_id"]) - wanted
    shard = requests[requests["shard"] == row["shard"]]
    (task,) = plan_missing(shard, others, settings.batch_size, settings.part_size)
    (whole,) = task.batches
    if settings.memory.pad_batches:
        whole = pad(whole, settings.batch_size)
    place = whole.ids.index(image_id)
    first = place - place % size
    part = slice(first, first + size)
    half = Batch(whole.ids[part], whole.prompts[part], whole.seeds[part], wanted)
    alone = pad(Batch((image_id,), (row["prompt"],), (int(row["seed"]),), wanted), size)
    return next(batch for batch in (whole, half, alone) if len(batch.ids) == size)


def regenerate(stored: ImageRecord, batch: Batch, settings: GenerationSettings, store: ShardStore) -> Comparison:
    """Generate a stored image again and compare the two; the store does not change.

    Args:
        stored: The image.
        batch: Its batch.
        settings: How it is generated.
        store: Store of the image.

    Raises:
        ConfigurationError: if memory runs out with one image.
        WeightsError: if the model cannot be loaded.
    """
    (made,) = ShardWorker(settings, store, None).draw(batch)
    return compare(stored, made)


def compare(then: ImageRecord, now: ImageRecord) -> Comparison:
    """Compare two makings of an image."""
    old, new = (np.asarray(Image.open(io.BytesIO(one.data)).convert("RGB"), np.int16) for one in (then, now))
    difference = np.abs(old - new)
    mean_square = float(np.square(difference, dtype=np.float64).mean())
    recorded, used = json.loads(then.versions), json.loads(now.versions)
    return Comparison(
        image_id=then.image_id,
        equal=then.data == now.data,
        largest_difference=int(difference.max()),
        psnr=round(10 * math.log10(255**2 / mean_square), 2) if mean_square else None,
        batch_sizes=(then.batch_size, now.batch_size),
        versions={
            name: (recorded.get(name), used.get(name))
            for name in sorted(recorded.keys() | used.keys())
            if recorded.get(name) != used.get(name)
        },
    )
