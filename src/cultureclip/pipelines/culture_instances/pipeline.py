"""Wiring of the culture-related instances."""

from kedro.pipeline import Node, Pipeline

from cultureclip.pipelines.culture_instances.nodes import ask_about_twins, pose_questions


def create_pipeline(**kwargs: object) -> Pipeline:  # noqa: ARG001 - Kedro's signature
    """Build the pipeline concepts, twins, teacher_audit_store, prompt -> culture_instances, metrics, questions."""
    asked = ["concepts", "twins", "teacher_audit_store", "teacher_audit_prompt"]
    parameters = ["params:culture_instances", "params:engine"]
    made = ["culture_instances", "culture_instances_metrics"]
    return Pipeline(
        [
            Node(ask_about_twins, [*asked, *parameters], made, name="ask_about_twins"),
            Node(
                pose_questions,
                ["culture_instances", "concepts", "params:culture_instances"],
                "culture_related_questions",
                name="pose_questions",
            ),
        ],
        namespace="culture_instances",
        tags="culture_instances",
        inputs=set(asked),
        outputs={*made, "culture_related_questions"},
        parameters=set(parameters),
    )
