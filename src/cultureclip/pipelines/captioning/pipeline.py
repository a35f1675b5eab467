"""Wiring of the captioning stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.captioning.nodes import hold_dialogues, summarise_captions, write_captions


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline twins, concepts, caption_store, prompts -> dialogues, captions, captioning_metrics."""
    parameters = ["params:captioning", "params:engine"]
    return Pipeline(
        [
            Node(
                hold_dialogues,
                inputs=["twins", "concepts", "caption_store", "voices_prompt", *parameters],
                outputs=["dialogues", "dialogue_usage"],
                name="hold_dialogues",
            ),
            Node(
                write_captions,
                inputs=["twins", "concepts", "dialogues", "caption_store", "caption_prompt", *parameters],
                outputs=["captions", "usage"],
                name="write_captions",
            ),
            Node(
                summarise_captions,
                inputs=["captions", "dialogues", "concepts", "usage", "dialogue_usage"],
                outputs="captioning_metrics",
                name="summarise_captions",
            ),
        ],
        namespace="captioning",
        tags="captioning",
        inputs={"twins", "concepts", "caption_store", "caption_prompt", "voices_prompt"},
        outputs={"captions", "dialogues", "captioning_metrics"},
        parameters=set(parameters),
    )
