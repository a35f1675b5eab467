"""Wiring of the variance decomposition."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.variance.nodes import decompose_scores


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline evaluations of several draws -> variances."""
    outputs = ["variance", "variance_table"]
    node = Node(decompose_scores, "params:variance", outputs, name="decompose_scores")
    return Pipeline([node], namespace="variance", tags="variance", outputs=set(outputs), parameters={"params:variance"})
