"""One judge against people: what is left out is counted, and what cannot be said is null."""

import json

import numpy as np
import pytest

from cultureclip.judging.calibration.calibrate import calibrate_judge, describe_people
from cultureclip.judging.calibration.settings import CalibrationSettings
from cultureclip.judging.rating import CRITERIA, refuse_by_ratings
from cultureclip.judging.settings import RatingRule
from tests.judging.calibration.conftest import draw_images, draw_people

SETTINGS = CalibrationSettings(min_images=10, min_concepts=5, resamples=200, seed=1, target_error=0.2, confidence=0.9)


def judged(concepts=100):
    images = draw_images(concepts)
    accepted = refuse_by_ratings(images, RatingRule()).isna()
    return images.assign(verdict=np.where(accepted, "accepted", "rejected"))


def test_a_judge_that_people_agree_with_decides_most_images():
    images = judged()
    people = draw_people(images, raters=3)
    found = calibrate_judge(images, people, SETTINGS)
    assert found["accept_from"]["score"] is not None and found["refuse_up_to"]["score"] is not None
    assert found["accept_from"]["bound"] <= 0.2 and 0 <= found["band"]["share"] < 0.5
    share = found["good_share"]
    assert share["rated"] == share["images"] == 400
    assert share["corrected"]["value"] == pytest.approx(describe_people(people, SETTINGS)["good"] / 400)
    json.dumps(found, allow_nan=False)


def test_failed_images_and_missing_ratings_are_left_out_and_counted():
    images = judged()
    people = draw_people(images, raters=1)
    holes = images.copy()
    holes.loc[:49, "verdict"] = "failed"
    holes.loc[:79, "consistency"] = np.nan
    found = calibrate_judge(holes, people, SETTINGS)
    assert (found["images"], found["failed"], found["without_score"]) == (400, 50, 80)
    assert found["good_share"]["images"] == 350
    rest = calibrate_judge(images[80:], people, SETTINGS)
    assert found["accept_from"] == rest["accept_from"] and found["band"] == rest["band"]


def test_a_judge_without_ratings_has_a_good_share_and_no_threshold():
    images = judged().assign(**dict.fromkeys(CRITERIA, np.nan))
    found = calibrate_judge(images, draw_people(judged()).iloc[:60], SETTINGS)
    assert found["good_share"]["rated"] > 0
    assert found["accept_from"]["score"] is None and found["accept_from"]["reason"].startswith("too few concepts")
    assert found["band"] == {"share": None, "images": None, "reason": "the judge gave no image a score"}


def test_people_who_rated_other_images_say_nothing():
    images = judged()
    people = draw_people(images).assign(image_id="elsewhere", rater=lambda frame: frame.index.astype(str))
    found = calibrate_judge(images, people, SETTINGS)
    assert found["good_share"] == {"value": None, "reason": "people rated no image that the judge decided"}
    assert found["accept_from"]["score"] is None


def test_one_concept_and_equal_ratings_give_no_threshold():
    images = judged()
    people = draw_people(images)
    one = calibrate_judge(images.assign(concept_id="c0"), people, SETTINGS)
    assert one["accept_from"]["score"] is None and one["band"]["share"] is None
    assert (one["good_share"]["corrected"]["low"], one["good_share"]["corrected"]["high"]) == (0.0, 1.0)
    same = people.assign(**dict.fromkeys(CRITERIA, 3.0))  # nobody finds any image good
    found = calibrate_judge(images, same, SETTINGS)
    assert found["accept_from"]["score"] is None and found["refuse_up_to"]["score"] == 5.0
    assert found["good_share"]["people"]["value"] == 0 and found["good_share"]["people"]["high"] > 0
