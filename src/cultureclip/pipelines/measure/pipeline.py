"""Wiring of a measurement: the evaluation of models that were not tuned here."""

from collections.abc import Sequence

from kedro.pipeline import Pipeline

from cultureclip.pipelines.evaluation.entries import read_benchmarks
from cultureclip.pipelines.evaluation.pipeline import answer, ask, read_by
from cultureclip.pipelines.reporting.pipeline import publish


def create_pipeline(benchmarks: Sequence[str] | None = None) -> Pipeline:
    """Build the pipeline benchmarks, the base and ``evaluation.models`` -> predictions, scores, results.

    Neither trainings nor their data are needed, so nothing can be said of leaks, and there is no report. The pocket
    benchmarks are drawn from the tables of mining, where they are listed. The outputs are the measurement's own
    (``measure.scores``, ...): they never take the place of an evaluation's.

    Args:
        benchmarks: Names of the benchmarks; by default the config's.
    """
    listed = benchmarks or read_benchmarks()
    return Pipeline(
        [*ask(listed), *answer("benchmarks", {}), *publish()],
        namespace="measure",
        tags="measure",
        inputs={*read_by(listed), "run_manifest"},
        parameters={"params:evaluation", "params:engine"},
    )
