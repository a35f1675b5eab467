"""Wiring of the mining stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.mining.nodes import (
    ask_language_model,
    classify_names,
    embed_looks,
    match_twins,
    read_concepts,
    summarise_mining,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline sources -> concepts, twins, mining_metrics, with the bottom-up pass over all emoji names."""
    nodes = [
        Node(
            read_concepts,
            inputs=["atlas", "params:mining"],
            outputs=["concepts", "concept_sources", "source_report"],
            name="read_concepts",
        ),
        Node(
            ask_language_model,
            inputs=["concepts", "answer_store", "params:mining"],
            outputs="answers",
            name="ask_language_model",
        ),
        Node(
            classify_names,
            inputs=["answers", "params:mining"],
            outputs=["bottom_up", "bottom_up_figures"],
            name="classify_names",
        ),
        Node(embed_looks, inputs=["concepts", "params:mining"], outputs="looks", name="embed_looks"),
        Node(match_twins, inputs=["concepts", "looks", "params:mining"], outputs="twins", name="match_twins"),
        Node(
            summarise_mining,
            inputs=["concepts", "looks", "twins", "bottom_up_figures"],
            outputs="mining_metrics",
            name="summarise_mining",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="mining",
        tags="mining",
        inputs={"atlas"},
        outputs={"concepts", "concept_sources", "source_report", "twins", "mining_metrics"},
        parameters={"params:mining"},
    )
