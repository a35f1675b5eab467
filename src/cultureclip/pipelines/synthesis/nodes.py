"""Nodes of the synthesis stage."""

from typing import Any

import pandas as pd

from cultureclip.drawings import Drawing
from cultureclip.engine.settings import EngineSettings
from cultureclip.images.source import ImageSource
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters


def plan_images(captions: pd.DataFrame, concepts: pd.DataFrame, parameters: SynthesisParameters) -> pd.DataFrame:
    """List the images that the accepted captions ask for, once the model takes the call and the scheduler.

    Args:
        captions: Table ``captions``.
        concepts: Table ``concepts``.
        parameters: ``params:synthesis``.

    Returns:
        Table ``image_requests``.
    """
    from cultureclip.concepts.exclusions import leave_out
    from cultureclip.images.requests import plan_requests, read_recipe
    from cultureclip.models.diffusion.text_to_image import check_call, check_scheduler
    from cultureclip.models.weights.locate import locate

    recipe = read_recipe(parameters)
    check_call(locate(parameters.model), recipe.call)
    check_scheduler(recipe.scheduler)
    excluded = parameters.exclude.find(concepts)
    wanted = leave_out(captions, excluded, "Synthesis")
    plan = plan_requests(wanted, recipe, parameters.images_per_caption, parameters.shard_digits)
    return leave_out(plan, excluded, "Synthesis").reset_index(drop=True)


def generate_images(
    image_requests: pd.DataFrame, image_store: ShardStore, parameters: SynthesisParameters, engine: EngineSettings
) -> tuple[list[str], dict[str, Any]]:
    """Generate the requested images that the store lacks.

    Args:
        image_requests: Table ``image_requests``.
        image_store: Store of the images; gets the new ones.
        parameters: ``params:synthesis``.
        engine: ``params:engine``.

    Returns:
        Ids of all requested images, now all in the store, and counts and times.
    """
    from cultureclip.images.generation import generate_missing
    from cultureclip.images.requests import check_recipe, read_recipe

    check_recipe(image_requests, read_recipe(parameters))
    if parameters.verify:
        image_store.verify()
    report = generate_missing(image_requests, image_store, parameters, engine)
    return sorted(image_requests["image_id"]), report.to_metrics()


def draw_contact_sheet(
    images: ImageSource,
    image_requests: pd.DataFrame,
    captions: pd.DataFrame,
    concepts: pd.DataFrame,
    parameters: SynthesisParameters,
) -> Drawing:
    """Draw twins side by side with names and captions.

    Args:
        images: The generated images.
        image_requests: Table ``image_requests``.
        captions: Table ``captions``.
        concepts: Table ``concepts``.
        parameters: ``params:synthesis``.
    """
    from cultureclip.images.contact_sheet import choose_twins, draw_twins

    twins = choose_twins(image_requests, captions, concepts, parameters.contact_sheet_images)
    return draw_twins(twins, images.read([cell.image_id for twin in twins for cell in twin]))
