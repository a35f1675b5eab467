"""Which images are wanted: every image is named by all that decides its pixels."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.ids import digest, seed_from_id
from cultureclip.images.settings import GenerationSettings
from cultureclip.models.diffusion.diffusers_files import fingerprint, scheduler_settings
from cultureclip.models.diffusion.image_families import choose_dtype, complete_call
from cultureclip.models.weights.locate import locate


@dataclass(frozen=True)
class Recipe:
    """All that decides an image's pixels besides its prompt and its number.

    Attributes:
        model: Fingerprint of the pipeline directory; stands for the model's name and revision.
        scheduler: Class and configuration of the scheduler.
        call: Arguments of the pipeline's call: steps, guidance scale, size, negative prompt ...
        dtype: Number type of weights and arithmetic.
        draw: Number of the data's draw: another number gives other noise.
        changed: Options that are not their defaults: quantisation, and decoding in tiles.
    """

    model: str
    scheduler: Mapping[str, Any]
    call: Mapping[str, Any]
    dtype: str
    draw: int = 0
    changed: Mapping[str, Any] = field(default_factory=dict)

    def image_id(self, prompt: str, k: int) -> str:
        """Return the id of the ``k``-th image of a prompt. No cache (attention, steps) is used: its field is null.

        Draw 0 and unchanged options have no field of their own, so that their ids are those of images made before there
        were any.
        """
        drawn = () if self.draw == 0 else (self.draw,)
        changed = (dict(self.changed),) if self.changed else ()
        return digest("image", prompt, self.model, self.scheduler, self.call, self.dtype, None, k, *drawn, *changed)


def read_recipe(settings: GenerationSettings) -> Recipe:
    """Read the recipe that the settings describe; the weights' bytes are read, but not into torch.

    What the settings leave to the model's family has the family's value: an id is the same whether it is written out.

    Raises:
        ConfigurationError: if the family is unknown and the settings leave something to it.
        WeightsError: if the model, or a part of it, is missing.
    """
    folder = locate(settings.model)
    options = {"quantization": settings.quantization or None, "vae_tiling": settings.vae_tiling or None}
    return Recipe(
        model=fingerprint(folder),
        scheduler=scheduler_settings(folder, settings.scheduler),
        call=complete_call(folder, settings.call.arguments()),
        dtype=choose_dtype(folder, settings.dtype),
        draw=settings.draw,
        changed={name: value for name, value in options.items() if value is not None},
    )


def plan_requests(captions: pd.DataFrame, recipe: Recipe, images_per_caption: int, shard_digits: int) -> pd.DataFrame:
    """Ask for images of every accepted caption.

    Captions with the same text (one concept in several twins) get different images: ``k`` counts on over all uses of a
    text, in the order of caption ids. The shard is the head of the image id, so it does not depend on who works on it.

    Args:
        captions: Table ``captions``; rows that are not accepted are left out.
        recipe: Recipe of the images.
        images_per_caption: Images a caption.
        shard_digits: Hex digits of the id that name the shard: 16 shards a digit.

    Returns:
        Table ``image_requests``, sorted by image id; the same for any order of the captions.

    Raises:
        SourceDataError: if there is no caption, or no caption is accepted.
    """
    accepted = captions[captions["verdict"] == "accepted"].sort_values("caption_id")
    if captions.empty:
        remedy = "Look at the reasons in the twins table, then add concepts or change mining.twins"
        raise SourceDataError("captions", "there are none, because no twin is accepted", remedy)
    if accepted.empty:
        reasons = captions["reason"].value_counts().to_dict()
        cause = f"none of {len(captions)} is accepted, so there is nothing to draw; rejected by reason: {reasons}"
        raise SourceDataError("captions", cause, "Loosen captioning.rules, or raise captioning.max_tries")
    uses: Counter[str] = Counter()
    rows = []
    for caption_id, prompt in zip(accepted["caption_id"], accepted["english"], strict=True):
        for _ in range(images_per_caption):
            k = uses[prompt]
            uses[prompt] += 1
            image_id = recipe.image_id(prompt, k)
            rows.append((image_id, caption_id, prompt, k, seed_from_id(image_id), image_id[:shard_digits]))
    table = pd.DataFrame(rows, columns=["image_id", "caption_id", "prompt", "k", "seed", "shard"])
    return table.sort_values("image_id", ignore_index=True)


def check_recipe(requests: pd.DataFrame, recipe: Recipe) -> None:
    """Check that requests were planned for this recipe; else images would be stored under wrong ids.

    Raises:
        ConfigurationError: if an id does not follow from the recipe.
    """
    for image_id, prompt, k in zip(requests["image_id"], requests["prompt"], requests["k"], strict=True):
        if recipe.image_id(prompt, int(k)) != image_id:
            cause = "planned with another model or other settings than those in the configuration now"
            raise ConfigurationError(
                f"image request {image_id}", cause, "Run the whole pipeline: kedro run --pipelines=synthesis"
            )
