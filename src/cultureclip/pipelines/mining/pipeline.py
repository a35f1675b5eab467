"""Wiring of the mining stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.mining.nodes import (
    ask_about_titles,
    embed_looks,
    match_twins,
    propose_twins,
    read_concepts,
    summarise_mining,
    tabulate_yields,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline sources -> concepts, twins, culture_yields, mining_metrics, with the bottom-up pass."""
    nodes = [
        Node(
            read_concepts,
            inputs=[
                "atlas",
                "mining_store",
                "top_down_prompt",
                "bottom_up_prompt",
                "category_prompt",
                "params:mining",
            ],
            outputs=["gathered", "concept_sources", "source_report", "pass_over_titles"],
            name="read_concepts",
        ),
        Node(
            ask_about_titles,
            inputs="pass_over_titles",
            outputs=["bottom_up", "bottom_up_figures"],
            name="ask_about_titles",
        ),
        Node(
            propose_twins,
            inputs=["gathered", "mining_store", "twins_prompt", "params:mining"],
            outputs=["concepts", "twin_proposals", "proposal_figures"],
            name="propose_twins",
        ),
        Node(
            embed_looks,
            inputs=["concepts", "concept_sources", "mining_store", "image_store", "params:mining", "params:engine"],
            outputs="looks",
            name="embed_looks",
        ),
        Node(
            match_twins,
            inputs=["concepts", "looks", "twin_proposals", "twin_reviews", "params:mining"],
            outputs=["twins", "matching"],
            name="match_twins",
        ),
        Node(tabulate_yields, inputs=["concepts", "matching"], outputs="culture_yields", name="tabulate_yields"),
        Node(
            summarise_mining,
            inputs=["concepts", "looks", "matching", "bottom_up_figures", "proposal_figures", "params:mining"],
            outputs="mining_metrics",
            name="summarise_mining",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="mining",
        tags="mining",
        inputs={
            "atlas",
            "image_store",
            "mining_store",
            "top_down_prompt",
            "bottom_up_prompt",
            "category_prompt",
            "twins_prompt",
            "twin_reviews",
        },
        outputs={"concepts", "concept_sources", "source_report", "twins", "culture_yields", "mining_metrics"},
        parameters={"params:mining", "params:engine"},
    )
