"""The pipeline as Kedro runs it: shipped catalog, prompt and parameters, small models in the production formats."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image

from cultureclip.attribution.queries import queries_of_generated
from cultureclip.concepts.atlas import read_concepts
from cultureclip.concepts.looks import read_pictures
from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.ids import digest
from cultureclip.images.records import encode_image
from cultureclip.images.store import ImageSet, ShardStore
from cultureclip.pipelines.attribution import create_pipeline
from cultureclip.pipelines.attribution.parameters import AttributionParameters
from cultureclip.pipelines.attribution.sources import Sources
from cultureclip.preflight import check_parameters
from tests.attribution.conftest import TEXT, entity_rows, noise
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import load_parameters

ROOT = Path(__file__).parents[2]
NAMES = ["kimono", "sari", "taco", "torii", "matryoshka"]
LABELS = ["Japan", "India", "Mexico"]


@pytest.fixture(scope="module")
def concepts() -> pd.DataFrame:
    atlas = pd.read_csv(ROOT / "data/01_raw/atlas.csv", dtype=str, keep_default_na=False)
    return read_concepts(atlas[atlas["name"].isin(NAMES)])


def run(data: Path, inputs: dict[str, Any], sources: Sources, **changes: Any) -> dict[str, Any]:
    config = (ROOT / "conf/base/catalog_attribution.yml").read_text(encoding="utf-8")
    config = config.replace("${globals:data}", str(data)).replace("${globals:prompts}", str(ROOT / "conf/base/prompts"))
    catalog = DataCatalog.from_config(yaml.safe_load(config))
    for name, table in inputs.items():
        catalog[name] = MemoryDataset(table)
    parameters = load_parameters()["attribution"] | {"labels": LABELS, "batch": 4} | changes
    catalog["params:attribution"] = MemoryDataset(AttributionParameters.model_validate(parameters))
    SequentialRunner().run(create_pipeline(sources), catalog)
    names = ("attribution.entities", "attribution.queries", "attribution.links", "attributions", "attribution_metrics")
    return {name: catalog[name].load() for name in names}


@pytest.fixture
def generated(tmp_path: Path, concepts: pd.DataFrame) -> dict[str, Any]:
    """Two images of each concept, in the shard store: the reference drawing, and noise."""
    store, captions, requests = ShardStore(tmp_path / "store"), [], []
    for concept, reference in zip(concepts["concept_id"], concepts["reference_image"], strict=True):
        caption = digest("caption", concept)
        captions.append({"caption_id": caption, "concept_id": concept})
        for picture in (Image.fromarray(read_pictures(reference, 32)[0]), noise(len(requests), 32)):
            image = digest("image", caption, len(requests))
            requests.append({"image_id": image, "caption_id": caption})
            store.write_part(image[:2], [encode_image(image, picture, batch_size=1, versions={})])
    images = ImageSet(store, [request["image_id"] for request in requests])
    tables = {"image_requests": pd.DataFrame(requests), "captions": pd.DataFrame(captions)}
    return {"images": images, "concepts": concepts, **tables}


def by_country(handler, body):
    question = body["messages"][-1]["content"]
    score = 5 if " of Japan?" in question else 1
    handler.send(json.dumps(completion(json.dumps({"score": score, "reason": "so"}))).encode())


def served(server) -> dict[str, Any]:
    return {"servers": [server.url], "model": "small", "revision": "r1"}


def test_generated_images_are_linked_to_concepts_and_measured_against_them(tmp_path, generated):
    with chat_server(by_country) as server:
        made = run(tmp_path, generated, Sources(False, False), language_model=served(server), images={"first": 8})
        asked = len(server.seen)
        again = run(tmp_path, generated, Sources(False, False), language_model=served(server), images={"first": 8})
        assert len(server.seen) == asked, "a second run asks nothing"
    assert again["attributions"].equals(made["attributions"])
    table, metrics = made["attributions"], made["attribution_metrics"]
    assert len(table) == 8 * 3
    assert set(made["attribution.queries"]["cultures"].explode()) <= {
        *("Japan", "India", "Bangladesh", "Sri Lanka", "Nepal", "Mexico", "Russia")
    }
    assert (table["grade_generated"] == 5).tolist() == (table["label"] == "Japan").tolist()
    assert metrics["share_null"] == {"written": 0, "likeliest": 1, "expected": 1}
    assert metrics["grades"]["expected"]["null"] == {"no_probabilities": 24}
    assert metrics["grades"]["written"]["people"] is None
    assert metrics["grades"]["written"]["audit"]["distance_max"] == 0
    links = metrics["links"]
    assert links["top_1"]["n"] == 8
    assert links["top_1"]["value"] <= links["candidates"]["value"] == 1, (
        "five concepts are fewer than twenty neighbours"
    )
    assert metrics["knowledge_base"] == {
        **{"entities": 5, "with_text": 5, "with_picture": 5},
        **{"pictures_indexed": 5, "pictures_unreadable": 0},
    }
    assert asked == metrics["usage"]["asked"]


def test_a_folder_and_a_knowledge_base_of_ones_own(tmp_path):
    (tmp_path / "mine").mkdir()
    for seed in range(3):
        noise(seed).save(tmp_path / f"mine/{seed}.png")
    (tmp_path / "mine/broken.png").write_bytes(b"\x89PNG")
    paths = [str(tmp_path / f"mine/{seed}.png") for seed in range(3)]
    rows = [("k", "kimono", TEXT, paths[0]), ("s", "sari", "", paths[1]), ("n", "none", TEXT, "nowhere.png")]
    entity_rows(*rows).to_csv(tmp_path / "kb.csv", index=False)
    images, base = {"folder": str(tmp_path / "mine"), "first": None}, str(tmp_path / "kb.csv")
    with chat_server(by_country) as server:
        made = run(tmp_path, {}, Sources(True, True), language_model=served(server), images=images, knowledge_base=base)
    metrics, names = made["attribution_metrics"], made["attribution.queries"].set_index("image_id")["name"]
    assert sorted(names) == ["0.png", "1.png", "2.png", "broken.png"]
    table = made["attributions"].assign(name=lambda rows: rows["image_id"].map(names)).set_index("name")
    assert set(table.loc["broken.png", "why_not_generated"]) == {"unreadable"}
    assert metrics["images_unreadable"] == 1
    assert metrics["knowledge_base"]["pictures_unreadable"] == 1
    assert metrics["links"] is metrics["grades"]["written"]["truth"] is None
    assert set(table["entity_id"].dropna()) == {"k"}, "sari has no text"


def test_pockets_own_models_grade_two_images(tmp_path, generated):
    small = {"labels": ["Japan", "Mexico"], "max_new_tokens": 24, "tries": 1, "images": {"first": 2}}
    made = run(tmp_path, generated, Sources(False, False), **small)
    table, metrics = made["attributions"], made["attribution_metrics"]
    assert len(table) == 4
    assert table["grade_expected"].between(1, 5).all()
    assert (table["digit_mass"] > 0.5).all(), "SmolLM2 answers with a digit"
    assert table["grade_generated"].notna().tolist() == table["why_not_generated"].isna().tolist()
    assert metrics["share_null"]["likeliest"] == 0
    assert metrics["grades"]["expected"]["audit"]["images"] == 2


def test_one_image_whose_entity_has_no_text(tmp_path):
    (tmp_path / "mine").mkdir()
    noise(1).save(tmp_path / "mine/1.png")
    entity_rows(("s", "sari", "", str(tmp_path / "mine/1.png"))).to_csv(tmp_path / "kb.csv", index=False)
    images = {"folder": str(tmp_path / "mine")}
    with chat_server(by_country) as server:
        made = run(
            tmp_path,
            {},
            Sources(True, True),
            language_model=served(server),
            images=images,
            knowledge_base=str(tmp_path / "kb.csv"),
        )
        assert server.seen == []
    assert made["attributions"]["entity_id"].tolist() == ["s"] * 3
    assert made["attributions"]["grade_generated"].isna().all()
    assert made["attribution_metrics"]["images_without_text"] == 1
    assert made["attribution_metrics"]["grades"]["written"]["audit"]["coverage"] is None


def test_rated_images_are_compared_with_people(tmp_path, concepts):
    rows = ["image,label,rating"]
    for seed, (japan, mexico) in enumerate([(5, 1), (4, 2), (5, 2)]):
        noise(seed).save(tmp_path / f"{seed}.png")
        rows += [f"{seed}.png,Japan,{japan}", f"{seed}.png,Mexico,{mexico}", f"{seed}.png,Peru,3"]
    (tmp_path / "rated.csv").write_text("\n".join(rows), encoding="utf-8")
    rated = {"path": str(tmp_path / "rated.csv"), "format": {"type": "csv"}, "resamples": 200}
    with chat_server(by_country) as server:
        made = run(
            tmp_path,
            {"concepts": concepts},
            Sources(False, True),
            language_model=served(server),
            images={"rated": rated},
        )
    people = made["attribution_metrics"]["grades"]["written"]["people"]
    assert (people["pairs"], people["images"], people["not_asked"]) == (6, 3, 3)
    assert people["pearson"]["value"] > 0.9
    assert people["pearson"]["low"] <= people["pearson"]["value"] <= people["pearson"]["high"]


def test_tables_of_different_runs_are_refused(generated):
    tables = [generated[name] for name in ("image_requests", "captions", "concepts")]
    with pytest.raises(MissingInputError, match="of different runs: 1 of 1"):
        queries_of_generated(["no such image"], *tables)


def test_the_shape_of_the_pipeline_is_not_changed_late():
    parameters = load_parameters()
    check_parameters(parameters, {"attribution": {"images": {"first": 3}, "neighbours": 5}})
    for late in ({"images": {"folder": "x"}}, {"knowledge_base": "x"}):
        with pytest.raises(ConfigurationError, match="decides which nodes"):
            check_parameters(parameters, {"attribution": late})
