"""The project's pipelines, each imported when it is asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from kedro.pipeline import Pipeline

STAGES = ("mining", "captioning", "synthesis", "filtering", "train", "evaluation")
"""The stages of the default run, in the order in which data flows."""

MODULES = (*STAGES, "pocket")
"""All pipelines that have a module; ``pocket`` makes the embedded models and is run by itself."""

COMBINED: dict[str, tuple[str, ...]] = {"data": STAGES[:4], "__default__": STAGES}
"""Names for several stages run as one."""


class LazyPipelines(Mapping[str, Pipeline]):
    """Name -> pipeline; a name imports its own module (or the modules it combines) and no other."""

    def __init__(self) -> None:
        self._built: dict[str, Pipeline] = {}

    def __getitem__(self, name: str) -> Pipeline:
        if name in COMBINED:
            return sum((self[stage] for stage in COMBINED[name]), Pipeline([]))
        if name not in MODULES:
            raise KeyError(name)
        if name not in self._built:
            self._built[name] = import_module(f"{__package__}.pipelines.{name}").create_pipeline()
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*MODULES, *COMBINED))

    def __len__(self) -> int:
        return len(MODULES) + len(COMBINED)


def register_pipelines() -> Mapping[str, Pipeline]:
    """The pipelines by name, for Kedro."""
    return LazyPipelines()


def find_producer(dataset: str, pipelines: Mapping[str, Pipeline]) -> str | None:
    """Name of the pipeline that makes a dataset, or None when it comes from outside."""
    return next((name for name in MODULES if dataset in pipelines[name].all_outputs()), None)
