"""Wiring of the filtering stage."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.filtering.nodes import judge_images, measure_images, select_twins, summarise_filtering


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline images, requests, captions, twins, concepts -> judgements, cultwin, filtering_metrics."""
    sources = ["image_requests", "captions", "twins", "concepts"]
    nodes = [
        Node(
            measure_images,
            inputs=["images", *sources, "judgement_store", "params:filtering"],
            outputs="measurements",
            name="measure_images",
        ),
        Node(judge_images, inputs=["measurements", "params:filtering"], outputs="judgements", name="judge_images"),
        Node(select_twins, inputs=["judgements", *sources, "params:filtering"], outputs="cultwin", name="select_twins"),
        Node(
            summarise_filtering,
            inputs=["judgements", "measurements", "cultwin", "concepts", "params:filtering"],
            outputs="filtering_metrics",
            name="summarise_filtering",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="filtering",
        tags="filtering",
        inputs={"images", "judgement_store", *sources},
        outputs={"judgements", "cultwin", "filtering_metrics"},
        parameters={"params:filtering"},
    )
