"""Wiring of the captioning stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.captioning.nodes import (
    collect_claims,
    hold_dialogues,
    summarise_captions,
    write_captions,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline twins, concepts, caption_store, prompts -> dialogues, claims, captions, metrics."""
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
                collect_claims,
                inputs=["dialogues", "concepts", "caption_store", "claims_prompt", "params:captioning"],
                outputs=["claims", "claim_usage"],
                name="collect_claims",
            ),
            Node(
                write_captions,
                inputs=["twins", "concepts", "dialogues", "claims", "caption_store", "caption_prompt", *parameters],
                outputs=["captions", "usage"],
                name="write_captions",
            ),
            Node(
                summarise_captions,
                inputs=["captions", "dialogues", "claims", "concepts", "usage", "dialogue_usage", "claim_usage"],
                outputs="captioning_metrics",
                name="summarise_captions",
            ),
        ],
        namespace="captioning",
        tags="captioning",
        inputs={"twins", "concepts", "caption_store", "caption_prompt", "voices_prompt", "claims_prompt"},
        outputs={"captions", "dialogues", "claims", "captioning_metrics"},
        parameters=set(parameters),
    )
