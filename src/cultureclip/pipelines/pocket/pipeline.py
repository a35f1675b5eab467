"""Wiring of the pocket pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.pocket.nodes import measure_generator, train_base_clip, train_generator, train_judge


def create_pipeline(**_: object) -> Pipeline:
    """concepts -> base CLIP, judge, generator -> the generator's measurement."""
    nodes = [
        Node(train_base_clip, ["concepts", "params:pocket"], "base_clip_card", name="train_base_clip"),
        Node(train_judge, ["concepts", "params:pocket"], "judge_card", name="train_judge"),
        Node(train_generator, ["concepts", "params:pocket"], "generator_card", name="train_generator"),
        Node(
            measure_generator,
            ["concepts", "generator_card", "judge_card", "params:pocket"],
            "generator_quality",
            name="measure_generator",
        ),
    ]
    return Pipeline(nodes, namespace="pocket", inputs={"concepts"}, parameters={"params:pocket"})
