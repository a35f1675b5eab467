"""Wiring of the leaderboard."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.leaderboard.nodes import merge_results


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline folders of results -> one table."""
    outputs = ["leaderboard_html", "leaderboard_markdown", "leaderboard_latex"]
    node = Node(merge_results, "params:leaderboard", outputs, name="merge_results")
    return Pipeline(
        [node], namespace="leaderboard", tags="leaderboard", outputs=set(outputs), parameters={"params:leaderboard"}
    )
