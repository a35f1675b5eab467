"""Wiring of the evaluation stage."""

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.evaluation.entries import POCKET, dataset_of, read_benchmarks
from cultureclip.pipelines.evaluation.nodes import (
    check_leaks,
    collect_benchmarks,
    compare_models,
    describe_evaluation,
    draw_pocket_benchmarks,
    evaluate_models,
    keep_pictures,
    measure_name_bias,
    score_models,
)
from cultureclip.pipelines.train.instances import make_instances, read_instances

_TRAINED_ON = {"cultwin", "images", "general_pairs"}
ANSWERS = {"predictions", "benchmark_cards", "scores", "group_scores", "confusions", "abilities", "abilities_chart"}
"""Outputs of :func:`answer`, less the description of the evaluation."""


def create_pipeline(
    objectives: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    benchmarks: Sequence[str] | None = None,
) -> Pipeline:
    """Build the pipeline benchmarks, concepts, training data, checkpoints -> predictions, scores, a report's data.

    Args:
        objectives: Losses of the trainings; by default the config's.
        seeds: Seeds of the trainings; by default the config's.
        benchmarks: Names of the benchmarks; by default the config's.
    """
    instances = make_instances(objectives, seeds) if objectives and seeds else read_instances()
    listed = benchmarks or read_benchmarks()
    checkpoints = {str(instance): f"checkpoint_{instance}" for instance in instances}
    nodes = [
        *ask(listed),
        Node(
            check_leaks,
            inputs=["benchmarks", "cultwin", "images", "general_pairs", "params:evaluation"],
            outputs=["checked_benchmarks", "leak_check"],
            name="check_leaks",
        ),
        *answer("checked_benchmarks", checkpoints),
        Node(
            measure_name_bias,
            inputs=["predictions", "checked_benchmarks", "cultwin", "params:evaluation"],
            outputs="name_bias",
            name="measure_name_bias",
        ),
        Node(
            keep_pictures,
            inputs=["checked_benchmarks", "predictions", "confusions", "benchmark_cards"],
            outputs="asked_pictures",
            name="keep_pictures",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="evaluation",
        tags="evaluation",
        inputs={*_TRAINED_ON, *checkpoints.values(), *read_by(listed), "run_manifest"},
        outputs={"leak_check", "name_bias", "asked_pictures", "evaluation_run", *ANSWERS},
        parameters={"params:evaluation", "params:engine"},
    )


def ask(listed: Sequence[str]) -> list[Node]:
    """Return the nodes that draw the listed pocket benchmarks, if any, and take in all listed benchmarks."""
    pocket = {name: dataset_of(name) for name in listed if name in POCKET}
    tables = ["concepts", "twins", "params:evaluation"]
    drawn = [Node(draw_pocket_benchmarks, tables, pocket, name="draw_pocket_benchmarks")] if pocket else []
    collected = Node(
        collect_benchmarks,
        inputs={"parameters": "params:evaluation", **{name: dataset_of(name) for name in listed}},
        outputs=["benchmarks", "collected_cards"],
        name="collect_benchmarks",
    )
    return [*drawn, collected]


def answer(benchmarks: str, checkpoints: Mapping[str, str]) -> list[Node]:
    """Return nodes that ask every model, count, and note the run that did it.

    Args:
        benchmarks: Dataset of the benchmarks.
        checkpoints: Name of each model that was tuned here -> its dataset.
    """
    return [
        Node(
            evaluate_models,
            inputs={
                "benchmarks": benchmarks,
                "cards": "collected_cards",
                "parameters": "params:evaluation",
                "engine": "params:engine",
                **checkpoints,
            },
            outputs=["predictions", "benchmark_cards"],
            name="evaluate_models",
        ),
        Node(
            compare_models,
            inputs=["predictions", "params:evaluation"],
            outputs=["confusions", "abilities", "abilities_chart"],
            name="compare_models",
        ),
        Node(
            score_models,
            inputs=["predictions", "benchmark_cards", "abilities", "params:evaluation"],
            outputs=["scores", "group_scores"],
            name="score_models",
        ),
        Node(
            describe_evaluation,
            inputs=["run_manifest", "predictions", "params:evaluation"],
            outputs="evaluation_run",
            name="describe_evaluation",
        ),
    ]


def read_by(listed: Sequence[str]) -> set[str]:
    """Return the datasets that :func:`ask` reads: files of the listed benchmarks, and the tables for pocket's."""
    tables = {"concepts", "twins"} if set(listed) & set(POCKET) else set()
    return tables | {dataset_of(name) for name in listed if name not in POCKET}
