"""What judges keep: counts add up, intervals go by concepts."""

import numpy as np
import pandas as pd
import pytest

from cultureclip.judging.calibration.yields import YIELDS, tabulate_yields
from cultureclip.prediction_powered import estimate_good_share
from cultureclip.statistics import ClusteredItems
from tests.judging.calibration.conftest import draw_images

NOBODY = pd.Series(dtype=bool)


def judged() -> pd.DataFrame:
    """120 images of 30 concepts: every fourth refused for one of two reasons, every twelfth failed."""
    images = draw_images()
    images["reason"] = None
    images.loc[::4, "reason"] = "closer_to_twin"
    images.loc[::8, "reason"] = "low_mean_rating"
    images.loc[::12, "reason"] = "unreadable"
    verdicts = images["reason"].map({None: "accepted", "unreadable": "failed"}).fillna("rejected")
    return images.assign(verdict=verdicts.where(images["reason"].notna(), "accepted"))


def test_verdicts_add_up_to_the_images_and_reasons_to_their_verdict():
    both = pd.concat([judged(), judged().assign(judge="decision", verdict="failed")])
    table = YIELDS.validate(tabulate_yields(both, NOBODY))
    assert set(table["judge"]) == {"clip", "decision"}
    keys = ["judge", "axis", "group"]
    whole = table[table["reason"].isna()]
    assert (whole.groupby(keys)["images"].sum() == whole.groupby(keys)["of"].first()).all()
    assert set(whole.groupby(keys)["verdict"].nunique()) == {3}
    refused = table[(table["judge"] == "clip") & (table["verdict"] != "accepted")]
    by_reason = refused[refused["reason"].notna()].groupby([*keys, "verdict"])["images"].sum()
    assert by_reason.equals(refused[refused["reason"].isna()].set_index([*keys, "verdict"])["images"][by_reason.index])
    counts = table[(table["judge"] == "clip") & (table["axis"] == "all")].set_index(["verdict", "reason"])["images"]
    assert counts["rejected", "closer_to_twin"] + counts["rejected", "low_mean_rating"] == 20
    assert counts["failed", "unreadable"] == 10


def test_intervals_are_over_concepts():
    images = judged()
    table = tabulate_yields(images, NOBODY)
    kept = table[(table["group"] == "TD") & (table["verdict"] == "accepted")].iloc[0]
    part = images[images["category"] == "Cuisine"]
    expected = ClusteredItems(part["concept_id"].to_numpy()).estimate_mean((part["verdict"] == "accepted") * 1.0)
    assert (kept["share"], kept["low"], kept["high"]) == pytest.approx((expected.value, expected.low, expected.high))
    assert (kept["of"], kept["concepts"]) == (60, 15)


def test_the_share_of_good_images_of_a_group_is_corrected_where_people_rated_some_of_it():
    images = judged()
    rated = images[(images["category"] == "Cuisine") & (images["verdict"] != "failed")].iloc[::3]
    good = pd.Series(np.arange(len(rated)) % 3 > 0, rated["image_id"])
    table = YIELDS.validate(tabulate_yields(images, good))
    part = images[(images["category"] == "Cuisine") & (images["verdict"] != "failed")].reset_index(drop=True)
    expected = estimate_good_share(
        (part["verdict"] == "accepted").to_numpy(),
        part["concept_id"].to_numpy(),
        np.arange(0, len(part), 3),
        good.to_numpy(),
    ).corrected
    of_category = table[(table["axis"] == "category") & table["reason"].isna()].set_index(["group", "verdict"])
    row = of_category.loc[("Cuisine", "accepted")]
    assert (row["good"], row["good_low"], row["good_high"]) == (expected.value, expected.low, expected.high)
    assert row["rated"] == len(rated)
    others = of_category.drop(index=("Cuisine", "accepted"))
    assert others["good"].isna().all()
    assert (others["rated"] == 0).all()
