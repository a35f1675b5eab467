"""Wiring of the synthesis stage."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.synthesis.nodes import draw_contact_sheet, generate_images, plan_images


def create_pipeline(**kwargs: Any) -> Pipeline:  # noqa: ARG001
    """Build the pipeline captions, concepts, image store -> requests, images, metrics, contact sheet."""
    return Pipeline(
        [
            Node(plan_images, ["captions", "concepts", "params:synthesis"], "image_requests", name="plan_images"),
            Node(
                generate_images,
                ["image_requests", "image_store", "params:synthesis", "params:engine"],
                ["images", "synthesis_metrics"],
                name="generate_images",
            ),
            Node(
                draw_contact_sheet,
                ["images", "image_requests", "captions", "concepts", "params:synthesis"],
                "contact_sheet",
                name="draw_contact_sheet",
            ),
        ],
        namespace="synthesis",
        tags="synthesis",
        inputs={"captions", "concepts", "image_store"},
        outputs={"image_requests", "images", "synthesis_metrics", "contact_sheet"},
        parameters={"params:synthesis", "params:engine"},
    )
