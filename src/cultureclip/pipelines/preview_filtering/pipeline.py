"""Wiring of the preview of filtering."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.filtering.nodes import measure_images
from cultureclip.pipelines.preview_filtering.nodes import choose_images, preview_opinions


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline images, requests, captions, twins, concepts -> filtering_preview."""
    sources = ["captions", "twins", "concepts"]
    return Pipeline(
        [
            Node(
                choose_images,
                ["image_requests", "params:preview"],
                ["first_requests", "total"],
                name="choose_images",
            ),
            Node(
                measure_images,
                ["images", "first_requests", *sources, "judgement_store", "params:filtering"],
                "measurements",
                name="measure_images",
            ),
            Node(
                preview_opinions,
                [
                    "measurements",
                    "total",
                    "images",
                    "concepts",
                    "judgement_store",
                    "rating_prompt",
                    "attribution_prompt",
                    "params:filtering",
                ],
                "filtering_preview",
                name="preview_opinions",
            ),
        ],
        namespace="preview_filtering",
        tags="preview_filtering",
        inputs={"images", "image_requests", "judgement_store", "rating_prompt", "attribution_prompt", *sources},
        outputs={"filtering_preview"},
        parameters={"params:preview", "params:filtering"},
    )
