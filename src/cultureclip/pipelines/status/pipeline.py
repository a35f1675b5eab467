"""Wiring of the status pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.status.nodes import describe_jobs


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline journals of jobs -> a line per job."""
    node = Node(describe_jobs, "params:engine", "job_status", name="describe_jobs")
    return Pipeline([node], namespace="status", tags="status", outputs={"job_status"}, parameters={"params:engine"})
