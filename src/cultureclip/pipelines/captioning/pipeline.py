"""Wiring of the captioning stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.captioning.nodes import summarise_captions, write_captions


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline twins, concepts, caption_store, caption_prompt -> captions, captioning_metrics."""
    return Pipeline(
        [
            Node(
                write_captions,
                inputs=["twins", "concepts", "caption_store", "caption_prompt", "params:captioning"],
                outputs=["captions", "usage"],
                name="write_captions",
            ),
            Node(
                summarise_captions,
                inputs=["captions", "concepts", "usage"],
                outputs="captioning_metrics",
                name="summarise_captions",
            ),
        ],
        namespace="captioning",
        tags="captioning",
        inputs={"twins", "concepts", "caption_store", "caption_prompt"},
        outputs={"captions", "captioning_metrics"},
        parameters={"params:captioning"},
    )
