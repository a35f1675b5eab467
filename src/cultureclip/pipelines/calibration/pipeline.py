"""Wiring of the calibration."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.calibration.nodes import (
    audit_judges,
    calibrate_judges,
    compare_ratings,
    describe_judgements,
    measure_diversity,
    read_ratings,
    write_page,
)


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline judgements, people's ratings -> agreement, calibration_metrics, judge_audit, diversity."""
    parameters = "params:calibration"
    nodes = [
        Node(
            describe_judgements,
            inputs=["judgements", "captions", "concepts"],
            outputs="described",
            name="describe_judgements",
        ),
        Node(read_ratings, inputs=["human_ratings", "judgements"], outputs="people", name="read_ratings"),
        Node(compare_ratings, inputs=["described", "people", parameters], outputs="agreement", name="compare_ratings"),
        Node(
            calibrate_judges,
            inputs=["described", "people", parameters],
            outputs="calibration_metrics",
            name="calibrate_judges",
        ),
        Node(audit_judges, inputs=["described", "people", parameters], outputs="judge_audit", name="audit_judges"),
        Node(
            measure_diversity,
            inputs=["described", "images", "judgement_store", "params:filtering"],
            outputs="diversity",
            name="measure_diversity",
        ),
        Node(
            write_page,
            inputs=["calibration_metrics", "agreement", "judge_audit", "diversity"],
            outputs="calibration_page",
            name="write_page",
        ),
    ]
    return Pipeline(
        nodes,
        namespace="calibration",
        tags="calibration",
        inputs={"judgements", "captions", "concepts", "human_ratings", "images", "judgement_store"},
        outputs={"calibration_metrics", "calibration_page", "judge_audit"},
        parameters={parameters, "params:filtering"},
    )
