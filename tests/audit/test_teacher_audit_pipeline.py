"""The pipeline as Kedro runs it: shipped catalog, prompts and parameters, and a model at a server."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from cultureclip.audit.record import find_teachers, identify_model, match_audits
from cultureclip.engine.settings import EngineSettings
from cultureclip.errors import SourceDataError
from cultureclip.exchange.makers import describe_teachers
from cultureclip.pipelines.teacher_audit import create_pipeline
from cultureclip.pipelines.teacher_audit.parameters import TeacherAuditParameters
from cultureclip.report.views.teacher_audit import AuditPage, draw_indices
from cultureclip.run_manifest import AUDIT_METRICS, read_audits
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import load_parameters

ROOT = Path(__file__).parents[2]
COUNTRIES = ["Japan", "Mexico", "<b>Atlantis</b>"]


def say(question: str) -> str:
    if "as JSON" in question:
        return '{"knowledge_points": ["Noodles are eaten."]}'
    if "Statement:" in question:
        return "yes" if "oodles" in question.partition("Statement:")[2] else "no"
    if "A > B" in question:
        return "A > B"
    if "from Mexico" in question and "praised" in question:
        return "As an AI, I cannot choose. <script>alert(1)</script>"
    if re.search(r"^\d\. ", question, re.MULTILINE):
        return "2" if "from Japan" in question else "4"
    return "Noodles are eaten."


def answer(handler, body) -> None:
    handler.send(json.dumps(completion(say(body["messages"][-1]["content"]))).encode())


def change(server: Any, **survey: Any) -> dict[str, Any]:
    given = load_parameters()["teacher_audit"]
    served = {"servers": [server.url], "model": "small", "revision": "r1"}
    changed = given["survey"] | {"countries": COUNTRIES, "repeats": 2} | survey
    matching = given["matching"] | {"first": 3, "text_tower": None}
    return given | {"language_model": served, "survey": changed, "matching": matching}


def run(data: Path, parameters: dict[str, Any]) -> DataCatalog:
    config = (ROOT / "conf/base/catalog_teacher_audit.yml").read_text(encoding="utf-8")
    config = config.replace("${globals:data}", str(data)).replace("${globals:prompts}", str(ROOT / "conf/base/prompts"))
    catalog = DataCatalog.from_config(yaml.safe_load(config))
    catalog["params:teacher_audit"] = MemoryDataset(TeacherAuditParameters.model_validate(parameters))
    catalog["params:engine"] = MemoryDataset(EngineSettings())
    SequentialRunner().run(create_pipeline(), catalog)
    return catalog


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("audit")
    published = pd.DataFrame(
        [(country, 10 * n, 5, 5, 5, 5, 5 - n) for n, country in enumerate(COUNTRIES, 1)],
        columns=["country", "pdi", "idv", "mas", "uai", "lto", "ivr"],
    )
    published.to_csv(folder / "published.csv", index=False)
    rows = [("own03", country, option, 0.5) for country in COUNTRIES[:2] for option in (2, 4)]
    pd.DataFrame(rows, columns=["item", "country", "option", "share"]).to_csv(folder / "population.csv", index=False)
    files = {name: str(folder / f"{name}.csv") for name in ("published", "population")}
    with chat_server(answer) as server:
        parameters = change(server, **files)
        catalog = run(folder, parameters)
        asked = len(server.seen)
        again = run(folder, parameters)
        assert len(server.seen) == asked, "a second audit asks nothing"
    names = ("teacher_answers", "teacher_instances", "teacher_audit_metrics", "teacher_audit.distances")
    made = {name: catalog[name].load() for name in names} | {"page": catalog["teacher_audit_page"].load()}
    assert again["teacher_audit_metrics"].load().keys() == made["teacher_audit_metrics"].keys()
    return made | {"asked": asked, "parameters": parameters}


def test_every_part_of_the_audit_has_its_figures(audited):
    metrics = audited["teacher_audit_metrics"]
    # 24 questions, three countries and nobody, two wordings, two orders, two repeats
    assert metrics["survey"]["asked"] == len(audited["teacher_answers"]) == 24 * 4 * 8
    mexico = next(row for row in metrics["survey"]["by"] if row["name"] == "Mexico")
    assert mexico["refused"]["value"] == pytest.approx(1 / 24)
    assert mexico["why_not"] == {"refused": 8, "cut_off": 0, "out_of_range": 0, "unparsable": 0}
    assert metrics["hofstede"]["tau"]["pdi"]["countries"] == 3
    assert {row["index"]: row["value"] for row in metrics["hofstede"]["indices"] if row["country"] == "Mexico"}[
        "mas"
    ] is None
    assert metrics["knowledge"]["questions"] == 3
    assert metrics["matching"]["shown"]["names"]["accuracy"]["value"] == 0.5
    assert metrics["usage"]["survey"]["asked"] + metrics["usage"]["matching"]["asked"] < audited["asked"]


def test_instances_carry_their_question_and_verdict(audited):
    instances = audited["teacher_instances"]
    japan = instances[instances["country"] == "Japan"]
    assert len(japan) == 24 * 8
    # "2" and "4" of five options are other options in both orders
    assert (japan["verdict"] == "accepted").all()
    assert japan["question"].str.endswith("?").all()
    assert {len(options) for options in japan["options"]} == {5}
    refused = instances[instances["reason"] == "aware_unread"]
    assert set(refused["item"]) == {"own03"}


def test_distances_are_of_what_the_population_has(audited):
    distances = audited["teacher_audit.distances"]
    assert len(distances) == 2 * 2
    mexico = distances[(distances["country"] == "Mexico") & (distances["mode"] == "aware")].iloc[0]
    assert mexico["why_not"] == "no_answer"
    japan = distances[(distances["country"] == "Japan") & (distances["mode"] == "aware")].iloc[0]
    assert japan["js"] == pytest.approx(0, abs=1e-7), "half of its answers are listed second, half fourth"


def test_the_page_shows_hostile_text_as_text(audited):
    page = audited["page"].read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>Atlantis" not in page
    assert "small was asked 24 questions in 4 wordings" in page
    assert re.findall(r"<h2 id=\"(\w+)\"", page) == [
        *("answered", "change", "hofstede", "population", "matching", "knowledge")
    ]
    assert "nan" not in page.lower().replace("finance", "")
    assert (audited["page"].parent / "static/style.css").is_file()


def test_the_page_of_an_audit_without_files_or_answers(audited):
    metrics = audited["teacher_audit_metrics"] | {"hofstede": None, "alignment": None, "distances": None}
    metrics |= {"matching": None, "knowledge": None}
    answers = audited["teacher_answers"].iloc[:0]
    text = dict(AuditPage(metrics, answers, pd.DataFrame()).files())["index.html"].decode()
    assert "The questionnaire has no items of the indices" in text
    assert "nothing is compared with them" in text
    assert 'id="matching"' not in text


def test_charts_put_every_number_inside_the_plot(audited):
    charts = draw_indices(audited["teacher_audit_metrics"]["hofstede"])
    assert len(charts) == 6
    for chart in charts:
        assert len(chart.lines) == 3
        places = [p for line in chart.lines for p in (line.x, line.low, line.high, line.published) if p is not None]
        assert all(0 <= place <= chart.width for place in places)
        assert np.diff([x for x, _ in chart.ticks]).min() > 0
    assert charts[2].lines[1].label.startswith("no answer")
    assert draw_indices(None) == []


def test_faults_of_files_stop_the_audit_before_anything_is_asked(tmp_path):
    (tmp_path / "q.csv").write_text("item,question,options\nq,Is it?,yes\n", encoding="utf-8")
    (tmp_path / "o.csv").write_text("cultural_group,topic\nx,y\n", encoding="utf-8")
    with chat_server(answer) as server:
        parameters = change(server)
        for bad in (
            change(server, questionnaire=str(tmp_path / "q.csv")),
            parameters | {"knowledge": parameters["knowledge"] | {"file": str(tmp_path / "o.csv")}},
            parameters | {"matching": parameters["matching"] | {"file": str(tmp_path / "absent.json")}},
        ):
            with pytest.raises(SourceDataError):
                run(tmp_path, bad)
        assert server.seen == []


def test_an_audit_is_found_for_the_models_that_it_is_of(audited):
    stages = {"teacher_audit": TeacherAuditParameters.model_validate(audited["parameters"])}
    teachers = find_teachers(stages)
    assert teachers == {"teacher_audit.language_model": {"model": "small", "revision": "r1"}}
    local = identify_model({"path": "package:x", "gguf_file": "a.gguf", "batch": 3, "device": "cuda"})
    assert local == {"path": "package:x", "gguf_file": "a.gguf"}
    metrics = audited["teacher_audit_metrics"]
    other = {"model": {"model": "small", "revision": "r2"}}
    found = match_audits(
        teachers | {"captioning.language_model": local}, [("run3", other), ("run2", metrics), ("run1", metrics)]
    )
    assert list(found) == ["teacher_audit.language_model", "captioning.language_model"]
    assert found["teacher_audit.language_model"]["audit"] == "run2"
    assert found["teacher_audit.language_model"]["answered"] == metrics["survey"]["answered"]
    assert found["captioning.language_model"] == {"model": local, "audit": None}
    told = describe_teachers({"teachers": found})
    assert told[1] == ("captioning.language_model", "package:x a.gguf", "never audited")
    assert told[0][:2] == ("teacher_audit.language_model", "small r1")
    assert "audit run2: asked 768 questions as people of 3 countries; answered 99.0 %" in told[0][2]
    assert describe_teachers({}) == []


def test_audits_are_read_newest_first_and_a_damaged_one_is_passed_over(tmp_path):
    entry = {"type": "cultureclip.datasets.json_dataset.JSONDataset", "filepath": str(tmp_path / "audit.json")}
    catalog = DataCatalog.from_config({AUDIT_METRICS: entry | {"versioned": True}})
    assert list(read_audits(catalog)) == []
    for version, text in (("2026-01-01T00.00.00.000Z", '{"n": 1}'), ("2026-02-01T00.00.00.000Z", '{"n": 2}')):
        (tmp_path / "audit.json" / version).mkdir(parents=True)
        (tmp_path / "audit.json" / version / "audit.json").write_text(text, encoding="utf-8")
    (tmp_path / "audit.json/2026-03-01T00.00.00.000Z").mkdir()
    (tmp_path / "audit.json/2026-03-01T00.00.00.000Z/audit.json").write_text("[1", encoding="utf-8")
    found = list(read_audits(catalog))
    assert found == [("2026-02-01T00.00.00.000Z", {"n": 2}), ("2026-01-01T00.00.00.000Z", {"n": 1})]
    assert list(read_audits(DataCatalog())) == []
