"""Nodes of the regenerate pipeline."""

import logging
from typing import Any

import pandas as pd

from cultureclip.images.records import ImageRecord
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.regenerate.parameters import RegenerateParameters
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters

logger = logging.getLogger(__name__)


def find_stored_image(image_store: ShardStore, parameters: RegenerateParameters) -> ImageRecord:
    """Find the image and its record.

    Args:
        image_store: Store of the images.
        parameters: ``params:regenerate``.
    """
    from cultureclip.errors import ConfigurationError
    from cultureclip.images.regeneration import find_record

    if parameters.image_id is None:
        remedy = "Name an image: kedro run --pipelines=regenerate --params image_id=<id>"
        raise ConfigurationError("regenerate.image_id", "not set", remedy)
    return find_record(image_store, parameters.image_id)


def regenerate_image(
    stored_image: ImageRecord, image_requests: pd.DataFrame, image_store: ShardStore, parameters: SynthesisParameters
) -> dict[str, Any]:
    """Make the image again, compare it with the stored one and print the result; the store does not change.

    Args:
        stored_image: The image and its record.
        image_requests: Table ``image_requests``.
        image_store: Store of the images.
        parameters: ``params:synthesis``.

    Returns:
        A :class:`~cultureclip.images.regeneration.Comparison` as JSON.
    """
    from cultureclip.images.regeneration import find_batch, regenerate

    batch = find_batch(image_requests, stored_image, parameters)
    comparison = regenerate(stored_image, batch, parameters, image_store)
    logger.info("%s", comparison.say())
    return comparison.to_json()
