"""Conventions over all pipelines, and what may be imported to list them."""

import copy
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import networkx as nx
import pytest
from kedro.config import OmegaConfigLoader
from kedro.pipeline import Node, Pipeline

import cultureclip.pipelines
from cultureclip.pipeline_registry import COMBINED, MODULES, STAGES, find_producer, register_pipelines
from cultureclip.pipelines.parameters import PARAMETERS

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "transformers", "diffusers", "open_clip", "sentence_transformers", "sklearn", "matplotlib", "plotly")


def run_python(code: str) -> str:
    start = "from kedro.framework.startup import bootstrap_project; bootstrap_project('.')\nimport sys\n"
    start += "from kedro.framework.project import pipelines\n"
    done = subprocess.run([sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def pipelines():
    return register_pipelines()


def test_every_pipeline_folder_is_registered_and_nothing_else():
    folders = {p.parent.name for p in Path(cultureclip.pipelines.__path__[0]).glob("*/pipeline.py")}
    assert folders == set(MODULES)
    assert set(register_pipelines()) == {*MODULES, *COMBINED}


def test_listing_names_builds_no_pipeline_though_kedro_copies_the_mapping():
    late = ("cultureclip.pipelines", "cultureclip.preflight", "cultureclip.models", "pandas")
    code = f"import cultureclip.settings; sorted(pipelines); print([m for m in sys.modules if m.startswith({late})])"
    assert run_python(code) == "[]"


def test_building_all_pipelines_imports_no_heavy_library():
    code = "[p.nodes for p in pipelines.values()]; "
    loaded = run_python(code + f"print([m for m in {(*HEAVY, 'cultureclip')} if m in sys.modules])")
    assert loaded == "['cultureclip']"


def test_a_pipeline_built_late_is_the_one_that_its_module_creates(pipelines):
    late, made = pipelines["mining"], import_module("cultureclip.pipelines.mining").create_pipeline()
    assert "_nodes" not in vars(late)
    assert isinstance(late, Pipeline)
    assert late.describe() == made.describe()
    assert set((late + pipelines["captioning"]).nodes) > set(late.only_nodes_with_outputs("twins").nodes)
    assert copy.deepcopy(pipelines["captioning"]).all_outputs() == {
        "captions",
        "captioning.usage",
        "captioning.dialogue_usage",
        "captioning.claim_usage",
        "captioning_metrics",
        "dialogues",
        "claims",
    }
    with pytest.raises(AttributeError, match="no_such"):
        _ = late.no_such


def test_one_pipeline_imports_no_other():
    code = "pipelines['mining'].nodes; print(sorted(m for m in sys.modules if m.startswith('cultureclip.pipelines.')))"
    loaded = set(re.findall(r"cultureclip\.pipelines\.(\w+)", run_python(code)))
    assert loaded & set(MODULES) == {"mining"}


def test_combined_pipelines_are_their_stages(pipelines):
    for name, stages in COMBINED.items():
        assert set(pipelines[name].nodes) == {node for stage in stages for node in pipelines[stage].nodes}
    assert "pocket" not in STAGES


def test_an_unknown_name_is_a_key_error(pipelines):
    with pytest.raises(KeyError, match="minning"):
        pipelines["minning"]


@pytest.mark.parametrize("name", MODULES)
def test_nodes_have_a_namespace_and_verb_object_names(pipelines, name):
    for node in pipelines[name].nodes:
        assert node.namespace is not None
        assert re.match(rf"{name}(\.\w+)*$", node.namespace), f"{node.name} lies outside the namespace of its stage"
        assert re.match(r"[a-z0-9]+(_[a-z0-9]+)+$", node.name.rpartition(".")[2]), node.name


@pytest.mark.parametrize("name", MODULES)
def test_nodes_are_tagged_by_their_stage(pipelines, name):
    assert {frozenset(node.tags) for node in pipelines[name].nodes} == {frozenset({name})}


@pytest.mark.parametrize("name", MODULES)
def test_kedro_can_read_the_hints_of_every_node(pipelines, name):
    """Else each run begins with a warning, and the node's parameters are not checked."""
    for node in pipelines[name].nodes:
        assert get_type_hints(node.func), node.name


@pytest.mark.parametrize("name", MODULES)
def test_nodes_name_the_types_of_what_they_take_and_give(pipelines, name):
    """Benchmarks are the exception: what holds them is imported only by a node that runs."""
    for node in pipelines[name].nodes:
        vague = {argument for argument, hint in get_type_hints(node.func).items() if hint is Any}
        assert vague <= {"entries"}, f"{node.name}: {vague}"


@pytest.mark.parametrize("name", MODULES)
def test_a_stage_hands_its_parameters_to_nodes_whole_and_under_one_name(pipelines, name):
    for node in pipelines[name].nodes:
        names = signature(node.func).parameters
        given = node._inputs if isinstance(node._inputs, dict) else dict(zip(names, node.inputs, strict=False))
        for argument, dataset in given.items():
            if dataset.startswith("params:"):
                assert argument == ("engine" if dataset == "params:engine" else "parameters"), node.name
                assert get_type_hints(node.func)[argument] is PARAMETERS[dataset.removeprefix("params:")], node.name


def test_settings_are_read_without_a_heavy_library():
    code = "import cultureclip.pipelines.parameters; "
    assert run_python(code + f"print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_what_crosses_a_border_is_in_the_catalog_with_a_layer(pipelines):
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    catalog = loader["catalog"]
    patterns = {re.compile(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(key))): key for key in catalog}
    whole: Pipeline = pipelines["__default__"]
    crossing = {
        name
        for stage in STAGES
        for name in pipelines[stage].all_inputs() & (pipelines[stage].inputs() | whole.all_outputs())
        if not name.startswith("params:") and name not in pipelines[stage].all_outputs()
    }
    for name in crossing:
        entry = next((key for pattern, key in patterns.items() if pattern.fullmatch(name)), None)
        assert entry is not None, f"{name} crosses a border but is in no catalog file"
    for key, entry in catalog.items():
        assert entry.get("metadata", {}).get("kedro-viz", {}).get("layer"), f"{key} has no layer"


def drawn_graph(pipeline: Pipeline) -> nx.DiGraph:
    """Datasets, nodes and namespaces as kedro-viz joins them: it draws each namespace as one box, too.

    Through its box every input of a namespace leads to every output. An input that follows the box is left out of it.
    """
    graph = nx.DiGraph([edge for node in pipeline.nodes for edge in edges_of(node)])
    names = [node.namespace.split(".") for node in pipeline.nodes]
    boxes = sorted({".".join(parts[: depth + 1]) for parts in names for depth in range(len(parts))})
    for box in boxes:
        inside = pipeline.only_nodes_with_namespaces([box])
        left = inside.outputs() | (inside.all_outputs() & (pipeline - inside).inputs())
        graph.add_edges_from([*((name, box) for name in inside.inputs()), *((box, name) for name in left)])
    for box in boxes:
        graph.remove_edges_from([(name, box) for name in nx.descendants(graph, box) & set(graph.predecessors(box))])
    return graph


def edges_of(node: Node) -> list[tuple[str, str]]:
    return [*((name, node.name) for name in node.inputs), *((node.name, name) for name in node.outputs)]


def order_layers(graph: nx.DiGraph, layers: dict[str, str]) -> list[str]:
    """Layers of the datasets in the order of the flow, as kedro-viz finds it; a circle raises ``CycleError``."""
    before: dict[str, set[str]] = {}
    for name in graph.nodes & layers.keys():
        for follower in {layers[other] for other in nx.descendants(graph, name) & layers.keys()}:
            before.setdefault(follower, set()).update({layers[name]} - {follower})
    return list(TopologicalSorter(before).static_order())


def test_layers_never_go_round_in_a_circle(pipelines):
    """A viewer that meets a circle draws no layers at all, and says so only in its log."""
    catalog = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")["catalog"]
    patterns = {re.compile(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(key))): entry for key, entry in catalog.items()}
    graphs = {name: drawn_graph(pipeline) for name, pipeline in pipelines.items()}
    made_here = [pipeline for name, pipeline in pipelines.items() if name != "import_cultwin"]
    graphs["everything"] = drawn_graph(sum(made_here, Pipeline([])))
    used = [pipelines[name] for name in ("import_cultwin", "train", "evaluation", "export")]
    graphs["imported"] = drawn_graph(sum(used, Pipeline([])))
    layers = {
        name: entry["metadata"]["kedro-viz"]["layer"]
        for name in graphs["everything"]
        for pattern, entry in patterns.items()
        if pattern.fullmatch(name)
    }
    for graph in graphs.values():
        order_layers(graph, layers)
    order = order_layers(graphs["__default__"], layers)
    assert order.index("raw") < order.index("model_input") < order.index("models") < order.index("reporting")
    with pytest.raises(CycleError):  # only through the box of evaluation does run_manifest lead to predictions
        order_layers(graphs["__default__"], layers | {"run_manifest": "reporting"})


def test_a_dataset_is_traced_to_the_pipeline_that_makes_it(pipelines):
    assert find_producer("cultwin", pipelines) == "filtering"
    assert find_producer("atlas", pipelines) is None


def test_commands_are_documented_in_the_form_that_kedro_keeps():
    """``--pipeline`` works, and prints a warning that it will go."""
    places = ("README.md", "src", "conf", "docs", "notebooks", "Makefile")
    files = [
        file for place in places for file in ([ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*"))
    ]
    texts = [file for file in files if file.suffix in {".md", ".py", ".yml", ".ipynb", ".j2", ""} and file.is_file()]
    assert len(texts) > 200
    assert [str(file) for file in texts if re.search(r"--pipeline[= ]", file.read_text(encoding="utf-8"))] == []
