"""Wiring of the pocket pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.pocket.nodes import (
    measure_models,
    measure_vision_judge,
    read_drawn_concepts,
    train_base_clip,
    train_generator,
    train_judge,
    train_vision_judge,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline atlas -> concepts -> base CLIP, judge, generator, vision-language judge -> their abilities."""
    nodes = [
        Node(read_drawn_concepts, "atlas", "drawn_concepts", name="read_drawn_concepts"),
        Node(train_base_clip, ["drawn_concepts", "params:pocket"], "base_clip_card", name="train_base_clip"),
        Node(train_judge, ["drawn_concepts", "params:pocket"], "judge_card", name="train_judge"),
        Node(train_generator, ["drawn_concepts", "params:pocket"], "generator_card", name="train_generator"),
        Node(
            measure_models,
            ["drawn_concepts", "base_clip_card", "judge_card", "generator_card", "params:pocket"],
            "model_figures",
            name="measure_models",
        ),
        Node(
            train_vision_judge,
            ["drawn_concepts", "judge_card", "generator_card", "params:pocket"],
            "vision_judge_card",
            name="train_vision_judge",
        ),
        Node(
            measure_vision_judge,
            ["drawn_concepts", "vision_judge_card", "params:pocket"],
            "vision_judge_figures",
            name="measure_vision_judge",
        ),
    ]
    return Pipeline(nodes, namespace="pocket", tags="pocket", inputs={"atlas"}, parameters={"params:pocket"})
