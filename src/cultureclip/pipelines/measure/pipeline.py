"""Wiring of a measurement: the evaluation of models that were not tuned here."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline

from cultureclip.pipelines.evaluation.entries import POCKET, read_benchmarks
from cultureclip.pipelines.evaluation.pipeline import ANSWERS, answer, ask, files_of


def create_pipeline(benchmarks: Sequence[str] | None = None) -> Pipeline:
    """Benchmarks, the base and ``evaluation.models`` -> predictions, scores, results.

    Neither trainings nor their data are needed, so nothing can be said of leaks, and there is no report. The pocket
    benchmarks are drawn from the tables of mining, where they are listed.

    Args:
        benchmarks: Names of what is asked; by default what the config says.
    """
    listed = benchmarks or read_benchmarks()
    tables = {"concepts", "twins"} if set(listed) & set(POCKET) else set()
    return Pipeline(
        [*ask(listed), *answer("benchmarks", {})],
        namespace="measure",
        inputs={*files_of(listed), *tables, "run_manifest"},
        outputs=set(ANSWERS),
        parameters={"params:evaluation"},
    )
