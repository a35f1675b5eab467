"""Wiring of the review."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.review.nodes import measure_agreement


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline twin_reviews, twins -> review_metrics."""
    parameters = "params:review"
    node = Node(
        measure_agreement,
        inputs=["twin_reviews", "twins", parameters],
        outputs="review_metrics",
        name="measure_agreement",
    )
    return Pipeline(
        [node],
        namespace="review",
        tags="review",
        inputs={"twin_reviews", "twins"},
        outputs={"review_metrics"},
        parameters={parameters},
    )
