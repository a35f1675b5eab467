"""The project's pipelines, each imported and built when it is first used."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from kedro.pipeline import Pipeline

STAGES = ("mining", "captioning", "synthesis", "filtering", "train", "evaluation", "reporting")
"""The stages of the default run, in the order in which data flows."""

PREVIEWS = ("preview_mining", "preview_captioning", "preview_synthesis", "preview_filtering")
"""Previews of stages: their first items and what all would cost."""

MODULES = (
    *STAGES,
    "calibration",
    "review",
    "attribution",
    "teacher_audit",
    "culture_instances",
    "measure",
    "ask_benchmarks",
    "pocket",
    "leaderboard",
    "gate",
    "variance",
    "fetch_benchmarks",
    "import_cultwin",
    "export",
    "export_model",
    "regenerate",
    "status",
    "preflight",
    *PREVIEWS,
)
"""All pipelines that have a module; pipelines that are not stages run by themselves."""

COMBINED: dict[str, tuple[str, ...]] = {"data": STAGES[:4], "__default__": STAGES}
"""Names for several stages run as one."""


class LazyPipeline(Pipeline):
    """Some stages as one pipeline; their modules are imported, and it is built, when something of it is first used.

    Kedro copies the mapping of pipelines, values included, even to list their names: nothing may be built by that.

    Kedro 1.7 loads selectively what ``find_pipelines`` registers, where a command names its pipelines (kedro-org/kedro
    #5583). ``kedro registry list`` names none, so it would import and build them all and take four times as long
    (``bench/start.py``). This class waits for a registry that lists names without imports (kedro-org/kedro #5550).
    """

    def __init__(self, stages: tuple[str, ...]) -> None:
        # Do not call the parent's __init__: __getattr__ recognises its attributes as missing, once.
        self._stages = stages

    def __getattr__(self, name: str) -> Any:
        """Build the pipeline when a missing attribute is read: before the first use every attribute is missing."""
        if name.startswith("__") or "_nodes" in vars(self):
            raise AttributeError(name)
        built = (import_module(f"{__package__}.pipelines.{stage}").create_pipeline() for stage in self._stages)
        vars(self).update(vars(sum(built, Pipeline([]))))
        return getattr(self, name)


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines by name, for Kedro."""
    return {name: LazyPipeline(stages) for name, stages in ({name: (name,) for name in MODULES} | COMBINED).items()}


def find_producer(dataset: str, pipelines: Mapping[str, Pipeline]) -> str | None:
    """Return the name of the pipeline that makes a dataset, or None when it comes from outside."""
    return next((name for name in MODULES if dataset in pipelines[name].all_outputs()), None)
