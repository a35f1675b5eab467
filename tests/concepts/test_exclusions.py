"""What people took out: one list, known to every stage, and followed by each."""

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from pydantic import ValidationError

from cultureclip.benchmarks.excluded import without_excluded
from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.protocols.items import Question
from cultureclip.captions.claims.claim import CLAIMS
from cultureclip.captions.dialogue import DIALOGUES
from cultureclip.concepts.assignment import EXCLUDED, check_pairs
from cultureclip.concepts.exclusions import Exclusions, leave_out
from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.captioning.nodes import hold_dialogues, write_captions
from cultureclip.pipelines.evaluation.nodes import draw_pocket_benchmarks
from cultureclip.pipelines.filtering.nodes import measure_images, select_twins
from cultureclip.pipelines.parameters import PARAMETERS
from cultureclip.pipelines.preview_captioning.nodes import choose_concepts
from cultureclip.pipelines.synthesis.nodes import plan_images
from cultureclip.pipelines.train.nodes import for_instances
from cultureclip.scoring.models import ModelName
from cultureclip.settings import CONFIG_LOADER_ARGS
from cultureclip.tables import make_table
from tests.exchange.test_export import IDS, make_concepts, make_rows
from tests.support.parameters import CONF, change_stage

STAGES = {
    "mining",
    "captioning",
    "synthesis",
    "filtering",
    "train",
    "evaluation",
    "ask_benchmarks",
    "culture_instances",
    "export",
    "import_cultwin",
    "preview",
}
LIST = {"concepts": ["kilt"], "cultures": ["KR"], "images": ["0" * 20]}
"""Leaves sari and ao dai: kimono's twin is of Korea, thobe's is the kilt."""
KEPT = {IDS[2], IDS[3]}


def all_concepts() -> pd.DataFrame:
    return make_concepts(universal="robe", reference_image=None)


def all_twins() -> pd.DataFrame:
    rows = make_rows().drop_duplicates("twin_id")
    ids = {"a_concept_id": rows["pos_concept_id"], "b_concept_id": rows["neg_concept_id"]}
    return rows[["twin_id", "split"]].assign(**ids, verdict="accepted").reset_index(drop=True)


def all_captions() -> pd.DataFrame:
    sides = [
        make_rows()[["twin_id", f"{s}_concept_id", f"{s}_caption_id"]].set_axis(
            ["twin_id", "concept_id", "caption_id"], axis=1
        )
        for s in ("pos", "neg")
    ]
    return pd.concat(sides, ignore_index=True)


def catch(monkeypatch: pytest.MonkeyPatch, place: str) -> list[Any]:
    """Replace a function by one that keeps what it is given and stops the node."""
    seen: list[Any] = []

    def stop(*given: Any, **named: Any) -> None:
        seen.extend([*given, *named.values()])
        raise StopIteration

    monkeypatch.setattr(place, stop)
    return seen


def test_every_stage_has_the_list_of_the_configuration(tmp_path):
    shutil.copytree(CONF / "base", tmp_path / "base")
    file = tmp_path / "base/globals.yml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text(encoding="utf-8")) | {"exclude": LIST}))
    loader = OmegaConfigLoader(str(tmp_path), **CONFIG_LOADER_ARGS | {"base_env": "base", "default_run_env": "base"})
    found = {stage for stage, values in loader["parameters"].items() if "exclude" in values}
    assert found == STAGES
    for stage in found:
        read = PARAMETERS[stage].model_validate(loader["parameters"][stage])
        assert read.exclude == Exclusions(**LIST), stage  # type: ignore[attr-defined]


def test_names_ids_and_cultures_stand_for_concepts():
    concepts = all_concepts()
    found = Exclusions(concepts=["kilt", IDS[0]], cultures=["BD"], images=["f" * 20]).find(concepts)
    assert found == {IDS[5], IDS[0], IDS[2], "f" * 20}
    assert Exclusions().find(concepts) == frozenset()
    with pytest.raises(ConfigurationError, match="no concept is called 'klit'"):
        Exclusions(concepts=["klit"]).find(concepts)
    with pytest.raises(ValidationError, match="'Japan' is not a region code"):
        Exclusions(cultures=["Japan"])


def test_a_twin_goes_as_a_whole_and_an_image_with_its_rows_alone(caplog):
    caplog.set_level("INFO")
    rows = make_rows()
    image = rows["pos_image_id"].iloc[2]
    left = leave_out(rows, frozenset({IDS[1], image}), "Training")
    assert set(left["row_id"]) == set(rows["row_id"].iloc[3:])
    assert "Training: 3 of 6 rows are left out" in caplog.text
    captions = leave_out(all_captions(), frozenset({IDS[1]}), "Synthesis")
    assert IDS[0] not in set(captions["concept_id"]), "the twin of what is out has nobody to be contrasted with"
    assert leave_out(rows, frozenset(), "Training") is rows


def test_mining_makes_no_twin_of_it_and_says_why():
    concepts = all_concepts().assign(aliases=[[] for _ in IDS], key_visual_features=[[] for _ in IDS])
    pairs = pd.DataFrame({"a": [0, 2], "b": [1, 3], "visual_similarity": 0.9, "chance": 1.0, "cultural_overlap": 0.0})
    pairs["review"], pairs["kind_similarity"] = None, 1.0
    settings = change_stage("mining").twins  # type: ignore[attr-defined]
    plain = np.ones(6, bool), np.zeros(6, bool), settings
    assert list(check_pairs(pairs, concepts, *plain, {IDS[1]})) == [EXCLUDED, None]
    assert list(check_pairs(pairs, concepts, *plain)) == [None, None]


def test_captioning_and_its_preview_ask_nothing_of_it(monkeypatch):
    seen = catch(monkeypatch, "cultureclip.captions.write.write_captions")
    monkeypatch.setattr("cultureclip.captions.prompts.read_caption_prompt", lambda *_: None)
    monkeypatch.setattr("cultureclip.models.chat.open.open_chat_model", lambda *_: None)
    with pytest.raises(StopIteration):
        nothing = [make_table([], schema) for schema in (DIALOGUES, CLAIMS)]
        write_captions(all_twins(), all_concepts(), *nothing, None, {}, change_stage("captioning", exclude=LIST))
    assert {*seen[0]["a_concept_id"], *seen[0]["b_concept_id"]} == KEPT
    seen = catch(monkeypatch, "cultureclip.captions.dialogue.Dialogues.hold")
    speaking = change_stage("captioning", exclude=LIST, voices={"lines": 2, "max_new_tokens": 20})
    voices = yaml.safe_load((CONF / "base/prompts/voices.yml").read_text(encoding="utf-8"))
    with pytest.raises(StopIteration):
        hold_dialogues(all_twins(), all_concepts(), None, voices, speaking)
    spoken = next(table for table in seen if isinstance(table, pd.DataFrame))
    assert {*spoken["a_concept_id"], *spoken["b_concept_id"]} == KEPT
    seen = catch(monkeypatch, "cultureclip.captions.write.concepts_to_caption")
    with pytest.raises(StopIteration):
        choose_concepts(all_twins(), all_concepts(), change_stage("preview", exclude=LIST))
    assert {*seen[0]["a_concept_id"], *seen[0]["b_concept_id"]} == KEPT


def test_synthesis_plans_no_image_of_it(monkeypatch):
    seen = catch(monkeypatch, "cultureclip.images.requests.plan_requests")
    monkeypatch.setattr("cultureclip.images.requests.read_recipe", lambda _: SimpleNamespace(call={}, scheduler={}))
    monkeypatch.setattr("cultureclip.models.diffusion.text_to_image.check_call", lambda *_: None)
    monkeypatch.setattr("cultureclip.models.diffusion.text_to_image.check_scheduler", lambda *_: None)
    with pytest.raises(StopIteration):
        plan_images(all_captions(), all_concepts(), change_stage("synthesis", exclude=LIST))
    assert set(seen[0]["concept_id"]) == KEPT


def test_filtering_neither_judges_nor_pairs_it(monkeypatch):
    parameters = change_stage("filtering", exclude=LIST)
    seen = catch(monkeypatch, "cultureclip.judging.scores.measure")
    monkeypatch.setattr("cultureclip.judging.judge.Judge", lambda *_: None)
    monkeypatch.setattr("cultureclip.judging.texts.embed_concepts", lambda *_: None)
    captions = all_captions()
    requests = pd.DataFrame(
        {"image_id": [f"{n:020}" for n in range(len(captions))], "caption_id": captions["caption_id"]}
    )
    with pytest.raises(StopIteration):
        measure_images(None, requests, captions, all_twins(), all_concepts(), None, parameters)
    assert set(seen[0]["concept_id"]) == KEPT
    monkeypatch.setattr("cultureclip.judging.selection.build_cultwin", lambda *_, **__: make_rows())
    rows = select_twins(None, None, None, None, all_concepts(), parameters)
    assert {*rows["pos_concept_id"], *rows["neg_concept_id"]} == KEPT


def test_training_does_not_see_it(tmp_path):
    chosen = {"objectives": ["cultureclip"], "seeds": [1], "work_dir": str(tmp_path), "at_once": 1}
    pairs = pd.DataFrame({"pair_id": [], "picture": [], "text": []})
    train_together = for_instances([ModelName("cultureclip", 1)])
    (training,) = train_together(
        make_rows(), None, all_concepts(), pairs, change_stage("train", exclude=LIST, **chosen)
    ).values()
    assert {*training.cultwin["pos_concept_id"], *training.cultwin["neg_concept_id"]} == KEPT


def test_evaluation_asks_no_question_about_it(monkeypatch):
    seen = catch(monkeypatch, "cultureclip.benchmarks.pocket.collect_pocket")
    with pytest.raises(StopIteration):
        draw_pocket_benchmarks(all_concepts(), all_twins(), change_stage("evaluation", exclude=LIST))
    assert set(seen[0]["name"]) == {"kimono", "sari", "ao dai", "thobe"}
    assert {*seen[1]["a_concept_id"], *seen[1]["b_concept_id"]} == KEPT


def test_questions_of_files_go_by_culture_and_by_name():
    about = Declaration(name="x", title="X", question="?", source="s", licence="l", holds_out="images")
    asked = [("1", "Japan", ("kimono", "sari")), ("2", "South Korea", ("hanbok", "sari")), ("3", "Oman", ("Kilt", "a"))]
    questions = tuple(
        Question(item_id=item, image="i", options=names, cluster=names[0], part="test", culture=culture, names=names)
        for item, culture, names in asked
    )
    benchmark = ChoiceBenchmark(about, {}, questions)
    left = without_excluded(benchmark, Exclusions(**LIST))
    assert [question.item_id for question in left.questions] == ["1"]
    assert left.card()["left_out"] == {"excluded": 2}
    assert without_excluded(benchmark, Exclusions()) is benchmark
