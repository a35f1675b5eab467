"""Wiring of the preview of synthesis."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.preview_synthesis.nodes import choose_images, preview_images
from cultureclip.pipelines.synthesis.nodes import plan_images


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline captions, concepts, image store -> synthesis_preview; the stage's own plan stays in memory."""
    return Pipeline(
        [
            Node(plan_images, ["captions", "concepts", "params:synthesis"], "plan", name="plan_images"),
            Node(
                choose_images,
                ["plan", "captions", "concepts", "params:preview"],
                "first_images",
                name="choose_images",
            ),
            Node(
                preview_images,
                ["first_images", "plan", "image_store", "params:synthesis"],
                "synthesis_preview",
                name="preview_images",
            ),
        ],
        namespace="preview_synthesis",
        tags="preview_synthesis",
        inputs={"captions", "concepts", "image_store"},
        outputs={"synthesis_preview"},
        parameters={"params:preview", "params:synthesis"},
    )
