"""Wiring of the export."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.export.nodes import export_dataset


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline cultwin, concepts, captions, images -> dataset folder, export_metrics."""
    sources = ["cultwin", "concepts", "captions", "images", "run_manifest"]
    node = Node(
        export_dataset,
        [*sources, "params:export"],
        ["exported_dataset", "export_metrics"],
        name="export_dataset",
    )
    return Pipeline(
        [node],
        namespace="export",
        tags="export",
        inputs=set(sources),
        outputs={"exported_dataset", "export_metrics"},
        parameters={"params:export"},
    )
