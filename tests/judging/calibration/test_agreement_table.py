"""The table of agreements: groups, what is left out, and nulls with reasons."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from cultureclip.errors import MissingInputError
from cultureclip.judging.calibration.agreement_table import AGREEMENT, tabulate_agreement
from cultureclip.judging.calibration.images import describe_images
from cultureclip.judging.rating import CRITERIA
from tests.judging.calibration.conftest import SMALL, draw_images, draw_people


def cell(table: pd.DataFrame, **keys: str) -> pd.Series:
    wanted = {"axis": "all", "between": "judge and people", "measure": "weighted kappa", "rating": "consistency"} | keys
    rows = table[np.logical_and.reduce([table[key] == value for key, value in wanted.items()])]
    assert len(rows) == 1
    return rows.iloc[0]


def test_one_rater_gives_cohens_kappa_and_no_agreement_of_people():
    images = draw_images()
    people = draw_people(images, raters=1)
    table = AGREEMENT.validate(tabulate_agreement(images, people, SMALL))
    found = cell(table)
    theirs = cohen_kappa_score(images["consistency"], people["consistency"], weights="quadratic")
    assert found["value"] == pytest.approx(theirs)
    assert found["low"] < theirs < found["high"] and (found["images"], found["concepts"]) == (120, 30)
    for measure in ("weighted kappa", "ordinal alpha"):
        alone = cell(table, between="people", measure=measure)
        assert np.isnan(alone["value"]) and alone["reason"] == "no image was rated by two people"


def test_groups_are_categories_and_every_culture_of_a_concept():
    images = draw_images()
    table = tabulate_agreement(images, draw_people(images), SMALL)
    assert set(table["axis"]) == {"all", "category", "culture"}
    counts = {group: cell(table, axis="culture", group=group)["images"] for group in ("JP", "KR", "TD")}
    assert counts == {"JP": 60, "KR": 60, "TD": 60}
    assert cell(table, axis="culture", group="JP")["value"] == cell(table, axis="category", group="Art")["value"]


def test_people_agree_with_each_other_as_alpha_says():
    images = draw_images()
    table = tabulate_agreement(images, draw_people(images, raters=3), SMALL)
    kappa, alpha = (cell(table, between="people", measure=m)["value"] for m in ("weighted kappa", "ordinal alpha"))
    assert 0.5 < kappa < 1 and kappa == pytest.approx(alpha, abs=0.1)  # one squares ratings, the other their ranks


def test_an_image_rated_by_many_weighs_as_much_as_one_rated_by_one():
    images = draw_images()
    people = draw_people(images, raters=1)
    first = people["image_id"] == "i0"
    again = [people[first].assign(rater=f"again{k}") for k in range(50)]
    once, often = (tabulate_agreement(images, table, SMALL) for table in (people, pd.concat([people, *again])))
    assert cell(often)["value"] == pytest.approx(cell(once)["value"])


def test_a_missing_rating_of_the_judge_is_left_out_and_counted():
    images = draw_images()
    people = draw_people(images)
    holes = images.copy()
    holes.loc[holes.index < 20, "consistency"] = np.nan
    found = cell(tabulate_agreement(holes, people, SMALL))
    without = cell(tabulate_agreement(images, people[~people["image_id"].isin(holes["image_id"][:20])], SMALL))
    assert (found["value"], found["images"], found["not_judged"]) == (without["value"], 100, 20)
    none = cell(tabulate_agreement(images.assign(consistency=np.nan), people, SMALL))
    assert np.isnan(none["value"]) and none["not_judged"] == 120 and none["reason"].startswith("too small: 0 images")


def test_equal_ratings_and_few_concepts_are_null_with_a_reason():
    images = draw_images()
    people = draw_people(images)
    judge = cell(tabulate_agreement(images.assign(consistency=4.0), people, SMALL))
    assert np.isnan(judge["value"]) and judge["reason"] == "the judge gives every image the same rating"
    same = people.assign(**dict.fromkeys(CRITERIA, 2.0))
    table = tabulate_agreement(images, same, SMALL)
    assert cell(table)["reason"] == "people give every image the same rating"
    assert cell(table, between="people", measure="ordinal alpha")["reason"] == "undefined: all ratings are the same"
    one = cell(tabulate_agreement(images.assign(concept_id="c0"), people, SMALL))
    assert one["reason"] == "too small: 1 concepts, 5 are needed"


def test_images_are_described_by_the_tables_of_one_run():
    judgements = pd.DataFrame({"image_id": ["i", "j"], "caption_id": ["k", "l"]})
    captions = pd.DataFrame({"caption_id": ["k", "l"], "concept_id": ["c", "d"], "checks": "{}"})
    concepts = pd.DataFrame({"concept_id": ["c", "d"], "name": "n", "category": "Art", "cultures": [["JP"], ["KR"]]})
    images = describe_images(judgements, captions, concepts)
    assert images["judge"].unique().tolist() == ["judge"] and images["concept_id"].tolist() == ["c", "d"]
    named = describe_images(judgements.assign(judge="vlm"), captions, concepts)
    assert named["judge"].unique().tolist() == ["vlm"]
    with pytest.raises(MissingInputError, match="1 of 2 judged images"):
        describe_images(judgements, captions[:1], concepts)
