"""Nodes of the preview of synthesis."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.preview import First, PreviewParameters
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from cultureclip.readiness.measured import Measured, rate_key

if TYPE_CHECKING:
    from PIL import Image

    from cultureclip.images.generation import GenerationReport
    from cultureclip.report.estimate import Figure
    from cultureclip.report.preview import Shown

logger = logging.getLogger(__name__)

_SAID_IN_MB = 1_000_000
"""Bytes of the shown images from which disk is said in MB, and below in kB."""


@dataclass(frozen=True)
class Wanted:
    """An image of the plan: its id, prompt and seed, and the concept that it is to show."""

    image_id: str
    prompt: str
    seed: int
    concept: str


def choose_images(
    plan: pd.DataFrame, captions: pd.DataFrame, concepts: pd.DataFrame, parameters: PreviewParameters
) -> First[Wanted]:
    """Choose the first images of the plan, in the order of their ids, which is the order of synthesis."""
    of_caption = captions.drop_duplicates("caption_id").set_index("caption_id")["concept_id"]
    names = plan["caption_id"].map(of_caption).map(concepts.set_index("concept_id")["name"])
    rows = plan.assign(concept=names).sort_values("image_id")[["image_id", "prompt", "seed", "concept"]]
    return First([Wanted(*row) for row in rows.head(parameters.items).itertuples(index=False)], len(plan))


def preview_images(
    first: First[Wanted], plan: pd.DataFrame, image_store: ShardStore, parameters: SynthesisParameters
) -> SiteFiles:
    """Let the stage draw the first images of the plan, with the others of their batches, and show them.

    The batch decides an image's last bits. So whole batches are drawn: the stage finds in its store what it would have
    drawn itself.

    Returns:
        A ``report.preview.Preview``.
    """
    from cultureclip.images.batches import take_batches
    from cultureclip.images.generation import generate_missing
    from cultureclip.report.preview import Preview

    if parameters.verify:
        image_store.verify()
    kept = image_store.present()
    report = generate_missing(take_batches(plan, len(first.items), parameters.batch_size), image_store, parameters)
    pictures = image_store.read([one.image_id for one in first.items])
    preview = Preview(
        stage="synthesis",
        unit="images",
        items=len(first.items),
        total=first.total,
        figures=estimate(list(pictures.values()), report, first.total),
        shown=[
            show(one, pictures[one.image_id], kept=one.image_id in kept, cut=one.prompt in report.cut)
            for one in first.items
        ],
        facts=[("Model", parameters.model), ("Device", parameters.device), ("Batch", str(parameters.batch_size))],
        remarks=remark(report, len(first.items)),
        records=measured_rate(list(pictures.values()), report, parameters).as_record(),
    )
    logger.info("Preview of synthesis: %s", preview.say())
    return preview


def estimate(pictures: "list[Image.Image]", report: "GenerationReport", total: int) -> list["Figure"]:
    """Estimate disk and seconds of all images from the first ones.

    Args:
        pictures: The first images.
        report: What was drawn now: the seconds are the model's own.
        total: Number of all planned images.
    """
    from cultureclip.images.records import encode_image
    from cultureclip.report.estimate import SECONDS, project

    images = project("images", [1] * len(pictures), total)
    sizes = [len(encode_image("", picture, 1, {}).data) for picture in pictures]
    # Of small images the shown ones would be 0.0 MB.
    unit, size = ("MB", 1e6) if sum(sizes) >= _SAID_IN_MB else ("kB", 1e3)
    figures = [images, project("disk", [one / size for one in sizes], total, unit, 1)]
    if report.made:
        figures.append(images.times(report.drawing / report.made, "time", SECONDS, 1))
    return figures


def measured_rate(
    pictures: "list[Image.Image]", report: "GenerationReport", parameters: SynthesisParameters
) -> Measured:
    """Note what images take, for the preflight: the seconds are of the images drawn now, if there are any."""
    from cultureclip.images.records import encode_image

    size = sum(len(encode_image("", picture, 1, {}).data) for picture in pictures) / len(pictures)
    items = report.made or len(pictures)
    return Measured(
        stage="synthesis",
        key=rate_key("synthesis", parameters),
        how=f"preview of {items} images",
        items=items,
        seconds=report.drawing if report.made else None,
        bytes=size * items,
    )


def show(one: Wanted, picture: "Image.Image", *, kept: bool, cut: bool) -> "Shown":
    """Show an image with its prompt; a prompt that was not read to its end is said to be so."""
    from cultureclip.report.preview import Shown
    from cultureclip.report.thumbnails import thumbnail

    return Shown(
        title=one.concept,
        prompt=(("prompt", one.prompt),),
        answer=None,
        parsed=None,
        verdict="kept" if kept else "drawn now",
        accepted=True,
        reason="the model does not read the prompt to its end" if cut else None,
        notes=(f"{picture.width} x {picture.height} pixels", f"seed {one.seed}"),
        pictures=(thumbnail(picture),),
    )


def remark(report: "GenerationReport", items: int) -> list[str]:
    """Say which images were drawn besides those shown, and how reliable the time is."""
    if not report.made:
        return ["All images were kept from an earlier run, so nothing tells how long the model takes."]
    drawn = f"{report.generated:,} images were drawn now, in whole batches, and are stored"
    return [f"{drawn}; {items:,} are shown. The time is the model's own, without loading it."]
