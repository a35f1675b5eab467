"""Wiring of the benchmarks that chat models are asked."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.ask_benchmarks.nodes import (
    ask_models,
    collect_asked_benchmarks,
    draw_asked_benchmarks,
    score_asked,
)
from cultureclip.pipelines.evaluation.entries import POCKET, dataset_of, read_benchmarks
from cultureclip.pipelines.evaluation.pipeline import read_by


def create_pipeline(benchmarks: Sequence[str] | None = None) -> Pipeline:
    """Build the pipeline benchmarks, ask_benchmarks_store, ask_benchmarks_prompt -> answers, predictions, scores.

    Args:
        benchmarks: Names of the benchmarks; by default the config's.
    """
    listed = benchmarks or read_benchmarks("ask_benchmarks")
    parameters = "params:ask_benchmarks"
    pocket = {name: dataset_of(name) for name in listed if name in POCKET}
    tables = ["concepts", "twins", parameters]
    drawn = [Node(draw_asked_benchmarks, tables, pocket, name="draw_asked_benchmarks")] if pocket else []
    return Pipeline(
        [
            *drawn,
            Node(
                collect_asked_benchmarks,
                inputs={"parameters": parameters, **{name: dataset_of(name) for name in listed}},
                outputs=["benchmarks", "collected_cards"],
                name="collect_asked_benchmarks",
            ),
            Node(
                ask_models,
                inputs=[
                    "benchmarks",
                    "collected_cards",
                    "ask_benchmarks_store",
                    "ask_benchmarks_prompt",
                    parameters,
                    "params:engine",
                ],
                outputs=["predictions", "answers", "metrics"],
                name="ask_models",
            ),
            Node(
                score_asked,
                inputs=["predictions", "collected_cards", parameters],
                outputs=["scores", "group_scores"],
                name="score_asked",
            ),
        ],
        namespace="ask_benchmarks",
        tags="ask_benchmarks",
        inputs={*read_by(listed), "ask_benchmarks_store", "ask_benchmarks_prompt"},
        parameters={parameters, "params:engine"},
    )
