"""Wiring of the fetch_benchmarks pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.fetch_benchmarks.nodes import fetch_benchmarks


def create_pipeline() -> Pipeline:
    """Build the pipeline Hugging Face Hub and web servers -> folders that the catalog's benchmarks are read from."""
    node = Node(fetch_benchmarks, "params:fetch_benchmarks", "fetched_benchmarks", name="fetch_benchmarks")
    return Pipeline(
        [node],
        namespace="fetch_benchmarks",
        tags="fetch_benchmarks",
        outputs={"fetched_benchmarks"},
        parameters={"params:fetch_benchmarks"},
    )
