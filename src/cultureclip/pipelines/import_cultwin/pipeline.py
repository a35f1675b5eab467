"""Wiring of the import."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.evaluation.entries import POCKET, dataset_of, read_benchmarks
from cultureclip.pipelines.evaluation.pipeline import ask
from cultureclip.pipelines.import_cultwin.nodes import check_rows, publish_tables, read_rows

_PUBLISHED = ("concepts", "twins", "captions", "images", "cultwin")


def create_pipeline(benchmarks: Sequence[str] | None = None) -> Pipeline:
    """Build the pipeline rows of others, image store, benchmarks -> concepts, twins, captions, images, cultwin.

    The tables are published once nothing that a listed benchmark holds out was found in them. Their producers are the
    stages of the data as well, so the import is part of no run that has these.

    Args:
        benchmarks: Names of the benchmarks that must not leak; by default the config's.
    """
    listed = benchmarks or read_benchmarks()
    nodes = [
        Node(
            read_rows,
            inputs=["twin_rows", "image_store", "params:import_cultwin"],
            outputs=["concepts", "twins", "captions", "rows", "imported_rows", "counts"],
            name="read_rows",
        ),
        *ask(listed),
        Node(
            check_rows,
            inputs=["benchmarks", "rows", "image_store", "counts", "params:import_cultwin"],
            outputs=["checked_rows", "import_metrics"],
            name="check_rows",
        ),
        Node(
            publish_tables,
            inputs=["concepts", "twins", "captions", "checked_rows"],
            outputs=[f"published_{name}" for name in _PUBLISHED],
            name="publish_tables",
        ),
    ]
    files = {dataset_of(name) for name in listed if name not in POCKET}
    return Pipeline(
        nodes,
        namespace="import_cultwin",
        tags="import_cultwin",
        inputs={"twin_rows", "image_store", *files},
        outputs={
            "imported_rows": "imported_rows",
            "import_metrics": "import_metrics",
            **{f"published_{name}": name for name in _PUBLISHED},
        },
        parameters={"params:import_cultwin", "params:evaluation"},
    )
