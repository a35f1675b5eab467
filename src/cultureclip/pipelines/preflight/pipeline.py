"""Wiring of the preflight pipeline."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.preflight.nodes import measure_items, require_readiness, write_table


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline survey of configuration and files -> a table, and an error if there is something to fix."""
    return Pipeline(
        [
            Node(
                measure_items,
                ["preflight_survey", "params:preflight"],
                ["measured", "broken"],
                name="measure_items",
            ),
            Node(
                write_table,
                ["preflight_survey", "measured", "broken", "params:preflight"],
                ["preflight_table", "to_fix"],
                name="write_table",
            ),
            Node(require_readiness, "to_fix", None, name="require_readiness"),
        ],
        namespace="preflight",
        tags="preflight",
        inputs={"preflight_survey"},
        outputs={"preflight_table"},
        parameters={"params:preflight"},
    )
