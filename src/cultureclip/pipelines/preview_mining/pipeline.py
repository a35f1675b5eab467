"""Wiring of the preview of mining."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.preview_mining.nodes import choose_cells, list_cells, preview_top_down


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline mining_store, top_down_prompt -> mining_preview."""
    return Pipeline(
        [
            Node(list_cells, "params:mining", "cells", name="list_cells"),
            Node(choose_cells, ["cells", "params:preview"], "first_cells", name="choose_cells"),
            Node(
                preview_top_down,
                ["first_cells", "mining_store", "top_down_prompt", "params:mining"],
                "mining_preview",
                name="preview_top_down",
            ),
        ],
        namespace="preview_mining",
        tags="preview_mining",
        inputs={"mining_store", "top_down_prompt"},
        outputs={"mining_preview"},
        parameters={"params:preview", "params:mining"},
    )
