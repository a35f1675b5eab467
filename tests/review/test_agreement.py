"""Figures on reviews, against naive ones; and mining, which obeys them."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cultureclip.concepts import assignment
from cultureclip.concepts.reviews import ACCEPTED, REJECTED, settle
from cultureclip.errors import SourceDataError
from cultureclip.pipelines.review.nodes import measure_agreement as node
from cultureclip.review.agreement import measure_agreement, measure_auc
from cultureclip.tables import TWIN_REVIEWS, make_table
from tests.concepts.test_twins import make_concepts as make_random_concepts
from tests.concepts.test_twins import match, match_all
from tests.support.review_data import SETTINGS, make_concepts, make_reviews, make_twins

A, R = ACCEPTED, REJECTED


def test_auc_equals_a_naive_one() -> None:
    rng = np.random.default_rng(0)
    values, good, weights = rng.integers(0, 6, 40) / 5, rng.random(40) < 0.4, rng.integers(0, 4, 40)
    assert measure_auc(values, good, weights) == pytest.approx(roc_auc_score(good, values, sample_weight=weights))
    assert np.isnan(measure_auc(values, good, np.where(good, weights, 0)))


def test_the_majority_decides_and_comments_do_not() -> None:
    twins = make_twins(make_concepts(10))
    said = {"ann": [A, A, R, None, A], "bob": [A, R, R, None], "cem": [R, None]}
    settled = settle(make_reviews(twins, said)).set_index("twin_id")["review"]
    assert settled.to_dict() == {twins["twin_id"][i]: word for i, word in ((0, A), (2, R), (4, A))}


def test_figures_are_those_of_naive_counts() -> None:
    twins = make_twins(make_concepts(80), refused=20)
    rng = np.random.default_rng(1)
    truth = [(place < 25) != (rng.random() < 0.2) for place in range(40)]
    said: dict[str, list[str | None]] = {
        name: [A if good != (rng.random() < 0.15) else R for good in truth] for name in ("ann", "bob")
    }
    found = measure_agreement(make_reviews(twins, said), twins, SETTINGS)
    same = [i for i in range(40) if said["ann"][i] == said["bob"][i]]
    assert (found["pairs"], found["decisions"], found["without_majority"]) == (len(same), 80, 40 - len(same))
    good = np.array([said["ann"][i] == A for i in same])
    assert found["accepted_of"]["twins"]["value"] == pytest.approx(
        np.mean([said["ann"][i] == A for i in same if i < 20])
    )
    assert found["accepted_of"]["twins"]["pairs"] == len([i for i in same if i < 20])
    looks = twins["visual_similarity"].to_numpy()[same]
    measured = found["with_measures"]["visual_similarity"]
    assert measured["auc"] == pytest.approx(roc_auc_score(good, looks))
    assert measured["low"] < measured["auc"] <= measured["high"]
    constant = found["with_measures"]["cultural_overlap"]
    assert (constant["auc"], constant["low"]) == (0.5, None)
    assert constant["reason"] == "no interval: no resample differs"
    both = [word for name in said for word in said[name]]
    expected = 2 * both.count(A) * both.count(R) / (80 * 79)
    assert found["between_reviewers"]["value"] == pytest.approx(1 - (1 - len(same) / 40) / expected)
    assert found["between_reviewers"]["pairs"] == 40
    assert found["reviewers"]["ann"] == {A: said["ann"].count(A), R: said["ann"].count(R)}


def test_thresholds_let_through_what_people_accept() -> None:
    twins = make_twins(make_concepts(160), refused=40)
    said: dict[str, list[str | None]] = {"ann": [A if place < 40 else R for place in range(80)]}
    found = measure_agreement(make_reviews(twins, said), twins, SETTINGS)["thresholds"]
    for name, bound in (("visual_similarity", "min_visual_similarity"), (None, "min_chance_quantile")):
        value = found[bound]["value"]
        values = twins[name] if name else pd.Series([1 - place / 100 for place in range(80)])
        through = values >= value - 1e-9
        assert (through & (np.arange(80) >= 40)).sum() / through.sum() <= SETTINGS.target_error
        assert through.sum() >= 30
    few = make_reviews(twins, {"ann": [A, R]})
    none = measure_agreement(few, twins, SETTINGS)["thresholds"]["min_visual_similarity"]
    assert none["value"] is None
    assert "too few" in none["reason"]


def test_one_reviewer_agrees_with_nobody_and_no_reviews_are_an_error() -> None:
    twins = make_twins(make_concepts(8))
    found = measure_agreement(make_reviews(twins, {"ann": [A, A, A]}), twins, SETTINGS)
    assert found["between_reviewers"]["reason"] == "no pair has two reviewers"
    assert found["with_measures"]["score"]["reason"] == "people say the same of all pairs"
    assert found["accepted_of"]["refused"]["value"] is None
    with pytest.raises(SourceDataError, match="kedro review"):
        node(make_table([], TWIN_REVIEWS), twins, SETTINGS)


def review(table: pd.DataFrame, **said: list[str]) -> pd.DataFrame:
    """twin_id -> decisions, as mining reads them."""
    rows: list[dict[str, Any]] = table[table["twin_id"].isin(said)].to_dict("records")
    reviews = [
        {name: row[name] for name in ("twin_id", "a_concept_id", "b_concept_id")}
        | {"reviewer": f"r{place}", "decision": word, "comment": "", "decided_at": ""}
        for row in rows
        for place, word in enumerate(said[row["twin_id"]])
    ]
    return settle(pd.DataFrame(reviews))


def test_mining_obeys_what_people_say() -> None:
    concepts, looks, contexts = make_random_concepts(60, 5)
    before = match(concepts, looks, contexts, max_twins_per_concept=1)
    twins, refused = before[before["verdict"] == "accepted"], before[before["reason"] == assignment.TOO_DIFFERENT]
    bad, tied, wanted = twins["twin_id"].iloc[0], twins["twin_id"].iloc[1], refused["twin_id"].iloc[-1]
    reviews = review(before, **{bad: [R, R, A], tied: [A, R], wanted: [A]})
    assert set(reviews["twin_id"]) == {bad, wanted}
    found = match_all(concepts, looks, contexts, None, reviews, max_twins_per_concept=1)
    after = found.twins.set_index("twin_id")
    assert after.loc[bad, ["verdict", "reason", "review"]].tolist() == [R, assignment.REJECTED_IN_REVIEW, R]
    assert after.loc[wanted, ["verdict", "review"]].tolist() == [A, A]
    assert after.loc[wanted, "visual_similarity"] < 0.2, "no bound on a measure refuses it"
    assert pd.isna(after.loc[tied, "review"])
    assert found.reviewed == 2
    assert after["review"].notna().sum() == 2


def test_people_cannot_overrule_terms_names_and_quotas() -> None:
    concepts, looks, contexts = make_random_concepts(60, 5)
    before = match(concepts, looks, contexts)
    first = before.iloc[0]
    reviews = review(before, **{first["twin_id"]: [A]})
    concepts.loc[concepts["concept_id"] == first["a_concept_id"], "terms"] = "eval_only"
    after = match(concepts, looks, contexts, None, reviews).set_index("twin_id")
    assert after.loc[first["twin_id"], "reason"] == assignment.EVALUATION_ONLY
    none = match(concepts, looks, contexts, None, reviews, max_twins_per_kind={"other": 0})
    assert set(none["verdict"]) == {"rejected"}


def test_a_reviewed_pair_that_is_not_considered_is_counted() -> None:
    concepts, looks, contexts = make_random_concepts(60, 5)
    before = match(concepts, looks, contexts)
    reviews = review(before, **{twin: [R] for twin in before["twin_id"].iloc[:4]})
    gone = before["a_concept_id"].iloc[0]
    left = (concepts["concept_id"] != gone).to_numpy()
    found = match_all(concepts[left].reset_index(drop=True), looks[left], contexts[left], None, reviews)
    still = before.iloc[:4][(before.iloc[:4][["a_concept_id", "b_concept_id"]] != gone).all(axis=1)]
    assert found.reviewed == len(still) < 4
