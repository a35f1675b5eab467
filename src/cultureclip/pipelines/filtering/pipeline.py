"""Wiring of the filtering stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.filtering.nodes import (
    ask_judges,
    judge_images,
    measure_images,
    select_twins,
    summarise_filtering,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline images, requests, captions, twins, concepts -> judgements, cultwin, filtering_metrics."""
    sources = ["image_requests", "captions", "twins", "concepts"]
    nodes = [
        Node(
            measure_images,
            inputs=["images", *sources, "judgement_store", "params:filtering", "params:engine"],
            outputs="measurements",
            name="measure_images",
        ),
        Node(
            ask_judges,
            inputs=[
                "measurements",
                "images",
                "concepts",
                "judgement_store",
                "rating_prompt",
                "attribution_prompt",
                "params:filtering",
                "params:engine",
            ],
            outputs=["opinions", "usage"],
            name="ask_judges",
        ),
        Node(
            judge_images,
            inputs=["measurements", "opinions", "params:filtering"],
            outputs="judgements",
            name="judge_images",
        ),
        Node(select_twins, inputs=["judgements", *sources, "params:filtering"], outputs="cultwin", name="select_twins"),
        Node(
            summarise_filtering,
            inputs=["judgements", "measurements", "cultwin", "concepts", "usage", "params:filtering"],
            outputs="filtering_metrics",
            name="summarise_filtering",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="filtering",
        tags="filtering",
        inputs={"images", "judgement_store", "rating_prompt", "attribution_prompt", *sources},
        outputs={"judgements", "cultwin", "filtering_metrics"},
        parameters={"params:filtering", "params:engine"},
    )
