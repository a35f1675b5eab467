"""Knowledge bases as tables: what is cleaned, and what is refused by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cultureclip.attribution.knowledge_base import (
    ENTITIES,
    KnowledgeBase,
    check_entities,
    entities_of_concepts,
    read_knowledge_base,
)
from cultureclip.concepts.atlas import read_concepts
from cultureclip.errors import SourceDataError
from tests.attribution.conftest import TEXT, entity_rows

ATLAS = Path(__file__).parents[2] / "data/01_raw/atlas.csv"


def test_an_entity_has_several_pictures_and_a_picture_several_entities():
    rows = entity_rows(("e1", "kimono", TEXT, "a.png"), ("e1", "kimono", TEXT, "b.png"), ("e0", "obi", TEXT, "b.png"))
    knowledge = KnowledgeBase.of(ENTITIES.validate(check_entities(rows, "mine")))
    assert knowledge.pictures == {"a.png": ("e1",), "b.png": ("e0", "e1")}
    assert knowledge.names == {"e1": "kimono", "e0": "obi"}


@pytest.mark.parametrize("empty", ["", "  ", None, np.nan, pd.NA])
def test_missing_and_empty_texts_are_null_and_nothing_else_is_put_there(empty):
    rows = entity_rows(("e1", " kimono ", empty, "a.png"), ("e2", "sari", TEXT, empty))
    clean = ENTITIES.validate(check_entities(rows, "mine"))
    assert clean["text"].isna().tolist() == [True, False]
    assert clean["picture"].isna().tolist() == [False, True]
    assert KnowledgeBase.of(clean) == KnowledgeBase({"e1": "kimono", "e2": "sari"}, {"e2": TEXT}, {"a.png": ("e1",)})


def test_a_text_given_in_one_row_is_the_texts_of_all_rows_of_its_entity():
    rows = entity_rows(("e1", "kimono", None, "a.png"), ("e1", "kimono", TEXT, "b.png"), ("e1", "kimono", "", None))
    clean = check_entities(rows, "mine")
    assert clean["text"].tolist() == [TEXT, TEXT]
    assert clean["picture"].tolist() == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ([("e1", "kimono", TEXT, "a"), ("e1", "sari", TEXT, "b")], "'e1' has 2 different names .first in row 0."),
        ([("e1", "kimono", TEXT, "a"), ("e1", "kimono", "other", "b")], "'e1' has 2 different texts"),
        ([("", "kimono", TEXT, "a"), ("e2", None, TEXT, "b")], "row 0 has no entity_id; row 1 has no name"),
        ([("e1", "kimono", TEXT, None)], "no entity has a picture"),
    ],
)
def test_rows_that_contradict_each_other_are_refused(rows, cause):
    with pytest.raises(SourceDataError, match=cause):
        check_entities(entity_rows(*rows), "mine")


def test_a_long_list_of_problems_is_cut():
    with pytest.raises(SourceDataError, match="and 15 more"):
        check_entities(entity_rows(*[("", "kimono", TEXT, "a")] * 25), "mine")


def test_a_table_without_a_column_is_refused():
    with pytest.raises(SourceDataError, match="no column text, picture"):
        check_entities(pd.DataFrame({"entity_id": ["e"], "name": ["n"]}), "mine")


def test_csv_and_parquet_are_read_alike_and_errors_name_the_line(tmp_path):
    rows = entity_rows(("e1", "kimono", TEXT, "a.png"), ("e2", "sari", "", "b.png")).assign(notes="mine")
    rows.to_csv(tmp_path / "kb.csv", index=False)
    rows.to_parquet(tmp_path / "kb.parquet")
    pd.testing.assert_frame_equal(
        read_knowledge_base(tmp_path / "kb.csv"), read_knowledge_base(tmp_path / "kb.parquet")
    )
    rows.assign(name=["kimono", ""]).to_csv(tmp_path / "kb.csv", index=False)
    with pytest.raises(SourceDataError, match="line 3 has no name"):
        read_knowledge_base(tmp_path / "kb.csv")


@pytest.mark.parametrize("name", ["kb.csv", "kb.parquet", "kb.xlsx"])
def test_files_that_are_no_tables_are_refused(tmp_path, name):
    with pytest.raises(SourceDataError, match=r"cannot be read|neither .csv nor .parquet"):
        read_knowledge_base(tmp_path / name)
    (tmp_path / "kb.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceDataError):
        read_knowledge_base(tmp_path / "kb.parquet")


def test_the_atlas_is_a_knowledge_base():
    concepts = read_concepts(pd.read_csv(ATLAS, dtype=str, keep_default_na=False))
    entities = ENTITIES.validate(entities_of_concepts(concepts))
    assert len(entities) == len(concepts) == 444
    assert entities["text"].notna().all()
    assert (entities["picture"].str.startswith("emoji:")).all()
    assert set(entities["entity_id"]) == set(concepts["concept_id"])
