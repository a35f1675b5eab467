"""Wiring of the regenerate pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.regenerate.nodes import find_stored_image, regenerate_image


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline image store, image requests -> regeneration; the found image stays in memory."""
    return Pipeline(
        [
            Node(
                find_stored_image,
                ["image_store", "params:regenerate"],
                "stored_image",
                name="find_stored_image",
            ),
            Node(
                regenerate_image,
                ["stored_image", "image_requests", "image_store", "params:synthesis"],
                "regeneration",
                name="regenerate_image",
            ),
        ],
        namespace="regenerate",
        tags="regenerate",
        inputs={"image_requests", "image_store"},
        outputs={"regeneration"},
        parameters={"params:regenerate", "params:synthesis"},
    )
