"""Generate the batches of a part of a shard with one loaded model."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from cultureclip import __version__
from cultureclip.images.batches import Batch, ShardTask
from cultureclip.images.records import ImageRecord, encode_image
from cultureclip.images.settings import GenerationSettings
from cultureclip.images.store import ShardStore
from cultureclip.models.diffusion.image_families import choose_dtype, complete_call
from cultureclip.models.weights.locate import locate
from cultureclip.provenance import name_processor
from cultureclip.settings_base import Device

if TYPE_CHECKING:  # torch and diffusers are imported only when there is something to generate
    from PIL import Image

    from cultureclip.models.diffusion.text_to_image import TextToImage
    from cultureclip.models.image_embedding import EmbeddedPrompts

_RECORDED = ("torch", "diffusers", "transformers", "pillow")


@dataclass(frozen=True)
class Done:
    """A piece of work done.

    Attributes:
        made: Number of images generated.
        stored: Batch sizes of the images that were stored.
        cut: Prompts that the model did not read to their end.
        seconds: Duration of the generation.
    """

    made: int = 0
    stored: tuple[int, ...] = ()
    cut: tuple[str, ...] = ()
    seconds: float = 0.0


class ShardWorker:
    """Holds the model and works through parts of shards.

    Args:
        settings: Settings of the generation.
        store: Destination of the images.
        device: Where to work; None: where the settings say.
    """

    def __init__(self, settings: GenerationSettings, store: ShardStore, device: Device | None) -> None:
        from cultureclip.models.diffusion.text_to_image import LoadOptions, check_call, load_text_to_image

        folder, where = locate(settings.model), device or settings.device
        self.call = complete_call(folder, settings.call.arguments())
        check_call(folder, self.call)
        options = LoadOptions(settings.scheduler, settings.quantization or {}, settings.vae_tiling, settings.memory)
        self.model = load_text_to_image(folder, where, choose_dtype(folder, settings.dtype), options)
        self.settings, self.store = settings, store
        self.versions = software(where) | {name: str(value) for name, value in settings.memory.changed().items()}

    def __call__(self, task: ShardTask) -> Iterator[Done]:
        """Make a part's batches and store them together; yields after every batch and at the end."""
        records: list[ImageRecord] = []
        batches, start = [self._pad(batch) for batch in task.batches], time.monotonic()
        texts = self.model.embed([one.prompts for one in batches], self.call) if self.model.embeds_first else None
        for place, batch in enumerate(batches):
            records += self._make(batch, texts[place] if texts else batch.prompts)
            made, seconds = len(task.batches[place].ids), time.monotonic() - start
            yield Done(made, cut=self.model.find_cut(batch.prompts), seconds=seconds)
            start = time.monotonic()
        self.store.write_part(task.shard, records)
        yield Done(stored=tuple(record.batch_size for record in records))

    def draw(self, batch: Batch) -> list[ImageRecord]:
        """Return the missing images of one batch, generated in its own shape; they are not stored."""
        texts = self.model.embed([batch.prompts], self.call)[0] if self.model.embeds_first else batch.prompts
        return self._make(batch, texts)

    def _pad(self, batch: Batch) -> Batch:
        return pad(batch, self.settings.batch_size) if self.settings.memory.pad_batches else batch

    def _make(self, batch: Batch, texts: "Sequence[str] | EmbeddedPrompts") -> list[ImageRecord]:
        images, size = generate_halving(self.model, batch, self.call, texts)
        first = {image_id: place for place, image_id in reversed(list(enumerate(batch.ids)))}
        return [
            encode_image(image_id, image, len(batch.ids[place - place % size :][:size]), self.versions)
            for place, (image_id, image) in enumerate(zip(batch.ids, images, strict=True))
            if image_id in batch.missing and first[image_id] == place
        ]


def pad(batch: Batch, size: int) -> Batch:
    """Fill a batch up to a size with repeats of its last image, of which only the first is kept."""
    ids, prompts, seeds = (
        (*some, *some[-1:] * (size - len(batch.ids))) for some in (batch.ids, batch.prompts, batch.seeds)
    )
    return Batch(ids, prompts, seeds, batch.missing)


def software(device: str) -> dict[str, str]:
    """Return what besides the recipe and the batch can change an image's last bits: versions, machine and device."""
    import torch

    kind = device.partition(":")[0]  # its number says nothing of the picture
    processor = torch.cuda.get_device_name(device) if kind == "cuda" else name_processor()
    versions = {name: version(name) for name in _RECORDED} | {"cultureclip": __version__}
    return versions | {"device": kind, "machine": platform.machine(), "processor": processor}


def generate_halving(
    model: "TextToImage", batch: Batch, call: Mapping[str, Any], texts: "Sequence[str] | EmbeddedPrompts | None" = None
) -> tuple[list["Image.Image"], int]:
    """Generate a batch; when memory runs out, generate all of it again in halves, down to one image at a time.

    Every batch begins whole, whatever fitted before: its slices are the same in a rerun that generates only some.

    Args:
        model: The pipeline.
        batch: Batch to generate.
        call: Arguments of the pipeline's call.
        texts: The batch's prompts, perhaps embedded; None: those of the batch.

    Returns:
        The images and the size that fitted.

    Raises:
        ConfigurationError: if memory runs out with one image.
    """
    from cultureclip.models.memory import fitting_into_memory, halve_until_it_fits

    given = batch.prompts if texts is None else texts

    def generate(size: int) -> list["Image.Image"]:
        cuts = [slice(start, start + size) for start in range(0, len(batch.ids), size)]
        return [image for cut in cuts for image in model.generate(given[cut], batch.seeds[cut], call)]

    remedy = "Set synthesis.memory.offload, lower synthesis.call.height and width, or use a larger device"
    with fitting_into_memory(f"image {batch.ids[0]}", remedy):
        return halve_until_it_fits(generate, len(batch.ids))
