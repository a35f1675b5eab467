"""The runner of ``kedro run``: stage by stage, and what is unchanged since an earlier run is taken from there."""

import logging
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol, runtime_checkable

from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner

from cultureclip.datasets.versions import WholeVersions
from cultureclip.engine.settings import EngineSettings
from cultureclip.reuse import REUSED, Made, MadeStages, are_pictures_drawn, find_key, list_versions
from cultureclip.run_manifest import MANIFEST

logger = logging.getLogger("cultureclip.reuse")  # the runner's own name is what Kedro logs under

MADE = "stages.json"
"""File beside the manifests: what each stage has made under which key."""


@runtime_checkable
class NotesReuse(Protocol):
    """Hooks that record which stages of a run were taken from another."""

    def note_reused(self, run_id: str, stage: str, nodes: Iterable[Node], earlier: str) -> None:
        """Record it."""


class ReusingRunner(SequentialRunner):
    """Runs stages one after another. One whose code, parameters and inputs are as they were is not run.

    Its newest tables, models and pages are copied as this run's own versions instead.
    """

    def run(
        self,
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
        hook_manager: Any = None,
        run_id: str | None = None,
        only_missing_outputs: bool = False,
    ) -> dict[str, Any]:
        """Run a pipeline; see :class:`kedro.runner.AbstractRunner`."""
        made = None if only_missing_outputs else _open_made(pipeline, catalog)
        if made is None:
            return super().run(pipeline, catalog, hook_manager, run_id, only_missing_outputs)
        outputs: dict[str, Any] = {}
        for stage, nodes in split_stages(pipeline):
            key = find_key(nodes, catalog) if stage in REUSED else None
            earlier = made.find(stage, key) if key else None
            if earlier is not None and _take_over(nodes, pipeline, catalog, earlier):
                logger.info("%s  nothing has changed since run %s", stage, earlier.run)
                for plugin in hook_manager.get_plugins() if hook_manager else ():
                    if isinstance(plugin, NotesReuse):
                        plugin.note_reused(str(run_id), stage, nodes.nodes, earlier.run)
                continue
            outputs |= super().run(nodes, catalog, hook_manager, run_id)
            if key and run_id and are_pictures_drawn(nodes, catalog):
                saved = {name: str(one.resolve_save_version()) for name, one in list_versions(nodes, catalog).items()}
                made.note(stage, Made(key=key, run=run_id, versions=saved))
        return {name: dataset for name, dataset in outputs.items() if name in pipeline.outputs()}


def _open_made(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> MadeStages | None:
    """Open the notes of what was made; None where nothing of this run can be taken from there."""
    if "params:engine" not in pipeline.inputs() or MANIFEST not in catalog:
        return None
    engine, manifest = catalog.load("params:engine"), catalog.get(MANIFEST)
    if not isinstance(engine, EngineSettings) or not engine.reuse or not isinstance(manifest, WholeVersions):
        return None
    return MadeStages(manifest.saved_path().parents[2] / MADE)


def split_stages(pipeline: Pipeline) -> list[tuple[str, Pipeline]]:
    """Cut a pipeline into its stages, in the order in which data flows; into one where data flows back and forth."""
    by_stage: dict[str, list[Node]] = {}
    for node in pipeline.nodes:
        by_stage.setdefault((node.namespace or node.name).partition(".")[0], []).append(node)
    parts = {stage: Pipeline(nodes) for stage, nodes in by_stage.items()}
    made_by = {name: stage for stage, part in parts.items() for name in part.all_outputs()}
    needs = {stage: {made_by[name] for name in part.inputs() if name in made_by} for stage, part in parts.items()}
    try:
        return [(stage, parts[stage]) for stage in TopologicalSorter(needs).static_order()]
    except CycleError:
        return [("", pipeline)]


def _take_over(nodes: Pipeline, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any], earlier: Made) -> bool:
    """Make an earlier run's versions this run's own; False if one is gone or damaged, or something else is needed."""
    datasets = list_versions(nodes, catalog)
    needed = nodes.outputs() | (nodes.all_outputs() & (pipeline - nodes).inputs())
    if not needed <= datasets.keys() == earlier.versions.keys():
        return False
    if not all(datasets[name].is_whole(version) for name, version in earlier.versions.items()):
        return False
    for name, version in earlier.versions.items():
        datasets[name].take_over(version)
    return True
