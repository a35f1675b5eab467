"""Vendi's score on cases with a known answer, and what counts as a repetition."""

import json

import numpy as np
import pandas as pd
import pytest

from cultureclip.judging.calibration.diversity import DIVERSITY, select_kept, tabulate_diversity, vendi_score


def test_identical_images_are_one_and_orthogonal_ones_are_n():
    assert vendi_score(np.tile([3.0, 4.0], (7, 1))) == pytest.approx(1)
    assert vendi_score(5 * np.eye(9)) == pytest.approx(9)
    assert vendi_score(np.ones((1, 4))) == pytest.approx(1)


@pytest.mark.parametrize("size", [3, 40])
def test_score_is_the_entropy_of_the_whole_kernel(size):
    rng = np.random.default_rng(size)
    embeddings = rng.normal(size=(size, 8)).astype(np.float32)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit.astype(float) @ unit.T.astype(float) / size)
    values = values[values > 1e-12]
    assert vendi_score(embeddings) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-5)


def test_two_equal_groups_of_copies_are_two():
    assert vendi_score(np.repeat(np.eye(2), [10, 10], axis=0)) == pytest.approx(2)
    # Unequal groups: exp of the entropy of their shares.
    assert vendi_score(np.repeat(np.eye(2), [15, 5], axis=0)) == pytest.approx(
        np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    )


def kept_images() -> pd.DataFrame:
    shown = [["Red gate"], ["red gate", "rope"], ["rope"], [], ["red gate"]]
    return pd.DataFrame(
        {
            "image_id": list("abcde"),
            "judge": "decision",
            "verdict": "accepted",
            "concept_id": ["t", "t", "t", "s", "s"],
            "name": ["torii", "torii", "torii", "shimenawa", "shimenawa"],
            "category": "Architecture",
            "cultures": [["JP"]] * 5,
            "checks": [json.dumps({"features_shown": features}) for features in shown],
        }
    )


def test_what_repeats_is_the_most_frequent_concept_and_feature_of_a_culture():
    embeddings = {i: np.eye(4)[k] for k, i in enumerate("abcd")}
    table = DIVERSITY.validate(tabulate_diversity(kept_images(), embeddings)).set_index(["axis", "group"])
    japan = table.loc[("culture", "JP")]
    assert (japan["top_concept"], japan["top_concept_share"]) == ("torii", 0.6)
    assert (japan["top_feature"], japan["top_feature_share"]) == ("red gate", 0.6)
    assert (japan["images"], japan["embedded"], japan["concepts"]) == (5, 4, 2)
    assert japan["vendi"] == pytest.approx(4)
    assert table.loc[("concept", "t"), "vendi"] == pytest.approx(3)
    assert table.loc[("concept", "s"), "top_feature_share"] == 0.5


def test_without_embeddings_there_is_no_score_and_without_features_no_repetition():
    table = tabulate_diversity(kept_images().assign(checks="{}"), {})
    assert table["vendi"].isna().all() and table["top_feature"].isna().all()
    DIVERSITY.validate(tabulate_diversity(kept_images().iloc[:0], {}))


def test_kept_are_the_accepted_by_the_decision_or_by_the_only_judge():
    images = kept_images()
    images.loc[0, "verdict"] = "rejected"
    assert select_kept(pd.concat([images, images.assign(judge="clip", verdict="accepted")]))[
        "image_id"
    ].tolist() == list("bcde")
    assert len(select_kept(images.assign(judge="judge"))) == 4
