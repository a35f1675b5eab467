"""Wiring of the audit."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.teacher_audit.nodes import (
    answer_open_questions,
    ask_survey,
    compare_distributions,
    gather_usage,
    match_concepts,
    read_files,
    render_audit,
    select_instances,
    summarise_audit,
)

_OUTPUTS = {"teacher_answers", "teacher_instances", "teacher_audit_metrics", "teacher_audit_page"}


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline teacher_audit_store, teacher_audit_prompt -> answers, instances, metrics, page."""
    parameters, asked_with = "params:teacher_audit", ["teacher_audit_store", "teacher_audit_prompt"]
    settings = [parameters, "params:engine"]
    answers, metrics = "teacher_answers", "teacher_audit_metrics"
    return Pipeline(
        [
            Node(read_files, parameters, ["questions", "published", "population"], name="read_files"),
            Node(ask_survey, ["questions", *asked_with, *settings], [answers, "survey_usage"], name="ask_survey"),
            Node(
                match_concepts, ["questions", *asked_with, *settings], ["matches", "match_usage"], name="match_concepts"
            ),
            Node(
                answer_open_questions,
                ["questions", *asked_with, *settings],
                ["open_answers", "units", "open_usage"],
                name="answer_open_questions",
            ),
            Node(gather_usage, ["survey_usage", "match_usage", "open_usage"], "usage", name="gather_usage"),
            Node(select_instances, [answers, "questions"], "teacher_instances", name="select_instances"),
            Node(compare_distributions, [answers, "population", parameters], "distances", name="compare_distributions"),
            Node(
                summarise_audit,
                [
                    *("questions", "published", "population", answers, "teacher_instances", "distances", "matches"),
                    *("open_answers", "usage", parameters),
                ],
                metrics,
                name="summarise_audit",
            ),
            Node(render_audit, [metrics, answers, "open_answers"], "teacher_audit_page", name="render_audit"),
        ],
        namespace="teacher_audit",
        tags="teacher_audit",
        inputs=set(asked_with),
        outputs=_OUTPUTS,
        parameters=set(settings),
    )
