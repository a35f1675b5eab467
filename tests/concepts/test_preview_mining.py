"""The preview of mining: the source's own questions, asked once, and an estimate that the whole run bears out."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cultureclip.concepts.gather import gather_concepts
from cultureclip.concepts.proposals import read_top_down_prompt
from cultureclip.concepts.sources.source import Material
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.pipelines.preview import PreviewParameters
from cultureclip.pipelines.preview_mining.nodes import choose_cells, list_cells, preview_top_down
from tests.concepts.sources.support import MERGING
from tests.concepts.sources.test_top_down import PROMPTS, concept, names
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import change_stage
from tests.test_hooks import Workplace, place  # noqa: F401 - a fixture

REGIONS = ["JP", "KR", "MX", "FR", "IN", "EG"]


def answer(handler: Any, body: dict[str, Any]) -> None:
    """One good concept and one of another category; prose about France; every checked concept is good."""
    question = body["messages"][-1]["content"]
    region = question.rsplit(" ", 1)[-1]
    text = names(concept(f"robe of {region}"), concept("miso soup"))
    if "France" in question:
        text = "There are many."
    if question.endswith("?"):
        text = json.dumps({"depictable": True, "of_culture": True, "of_category": True})
    handler.send(json.dumps(completion(text)).encode())


def parameters(url: str, **changes: Any) -> MiningParameters:
    model = {"servers": [url], "model": "small", "revision": "1", "prices": [2.0, 10.0]}
    source = {
        "kind": "top_down",
        "language_model": model,
        "checker": model,
        "regions": REGIONS,
        "categories": ["Clothing"],
        "concepts": 1,
        "questions": 1,
        "licence": "MIT",
    }
    found = change_stage("mining", sources=[{"kind": "atlas"}, source | changes])
    assert isinstance(found, MiningParameters)
    return found


def test_mining_asks_nothing_again_and_takes_what_the_preview_said(tmp_path: Path) -> None:
    store = KeyedStore(tmp_path / "answers.sqlite")
    with chat_server(answer) as server:
        settings = parameters(server.url)
        first = choose_cells(list_cells(settings), PreviewParameters(items=4))
        preview: Any = preview_top_down(first, store, PROMPTS["base"], settings)
        asked = len(server.seen)
        material = Material("", store, read_top_down_prompt(PROMPTS["base"]))
        gathered = gather_concepts(settings.sources[1:], material, MERGING)
        whole = Counter(json.dumps([body["messages"], body["seed"]]) for *_, body in server.seen)
        again: Any = preview_top_down(
            choose_cells(list_cells(settings), PreviewParameters(items=6)), store, PROMPTS["base"], settings
        )
        assert len(server.seen) == whole.total(), "a preview of what is mined asks nothing"
    assert set(whole.values()) == {1}
    assert (preview.items, preview.total, len(preview.shown)) == (4, 6, 4)
    seen = {figure.name: figure for figure in preview.figures}
    assert seen["questions"].seen == asked
    assert seen["tokens read"].seen == 7 * asked
    assert seen["cost"].seen == pytest.approx(asked * (7 * 2 + 3 * 10) / 1e6)
    true = {figure.name: figure.whole for figure in again.figures}
    assert true["questions"] == whole.total()
    assert true["concepts"] == len(gathered.concepts) == 5
    for name in ("questions", "concepts"):
        assert seen[name].low <= true[name] <= seen[name].high
    assert "time" not in true
    failed = [shown for shown in again.shown if shown.verdict == "failed"]
    assert [shown.title for shown in failed] == ["FR Clothing"]
    assert failed[0].reason == "answer of another form"
    assert "miso soup: of another category" in next(s.parsed for s in again.shown if s.title == "JP Clothing")


def test_without_a_model_to_ask_nothing_is_previewed() -> None:
    settings = change_stage("mining")
    assert isinstance(settings, MiningParameters)
    with pytest.raises(ConfigurationError, match=r"mining\.sources: none asks a language model"):
        list_cells(settings)


def test_a_session_leaves_the_page_and_none_of_the_stages_tables(place: Workplace) -> None:  # noqa: F811
    with chat_server(answer) as server:
        source = parameters(server.url).model_dump(mode="json")["sources"][1]
        place.run("preview_mining", mining={"sources": [source]}, preview={"items": 2})
    made = {path.relative_to(place.data).parts[1] for path in place.data.rglob("*") if path.is_file()}
    assert made == {"mining_answers.sqlite", "preview", "logs", "run_manifest.json"}
    (html,) = (place.data / "08_reporting/preview/mining").glob("2*/mining/index.html")
    assert "The first 2 of 6 regions and categories" in html.read_text(encoding="utf-8")
