"""Wiring of the preview of captioning."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.preview_captioning.nodes import choose_concepts, let_voices_speak, preview_captions


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline twins, concepts, caption_store, prompts -> captioning_preview."""
    return Pipeline(
        [
            Node(choose_concepts, ["twins", "concepts", "params:preview"], "first_concepts", name="choose_concepts"),
            Node(
                let_voices_speak,
                [
                    *("first_concepts", "twins", "concepts", "caption_store", "voices_prompt", "claims_prompt"),
                    "params:captioning",
                ],
                ["told_concepts", "dialogue_figures"],
                name="let_voices_speak",
            ),
            Node(
                preview_captions,
                ["told_concepts", "dialogue_figures", "caption_store", "caption_prompt", "params:captioning"],
                "captioning_preview",
                name="preview_captions",
            ),
        ],
        namespace="preview_captioning",
        tags="preview_captioning",
        inputs={"twins", "concepts", "caption_store", "caption_prompt", "voices_prompt", "claims_prompt"},
        outputs={"captioning_preview"},
        parameters={"params:preview", "params:captioning"},
    )
