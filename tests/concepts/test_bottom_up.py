"""The bottom-up pass: thresholds, figures and answers against naive references; no label of the test part is used."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_recall_fscore_support

from cultureclip.concepts import bottom_up
from cultureclip.concepts.bottom_up import (
    BOTTOM_UP,
    ask_names,
    best_threshold,
    classify_names,
    empty_table,
    list_names,
    measure_answers,
)
from cultureclip.concepts.emoji import list_emoji
from cultureclip.concepts.settings import BottomUpSettings
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.mining.parameters import MiningParameters
from tests.support.parameters import change_stage


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_equals_trying_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(40) < 0.3
    scores = np.round(truth + rng.normal(size=40), 1)  # rounded: with ties
    threshold, f1 = best_threshold(scores, truth)
    tried = {t: f1_score(truth, scores >= t) for t in scores}
    assert f1 == pytest.approx(max(tried.values()))
    assert f1_score(truth, scores >= threshold) == pytest.approx(f1)


def test_figures_equal_sklearns_and_intervals_hold_them() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.random(300) < 0.4, rng.random(300) < 0.5
    figures: dict[str, Any] = measure_answers(answers, truth, np.arange(300).astype(str), 500)
    expected = precision_recall_fscore_support(truth, answers, average="binary")[:3]
    for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
        assert figures[name].value == pytest.approx(value)
        assert figures[name].low < value < figures[name].high
    assert (figures["names"], figures["true"], figures["found"]) == (300, truth.sum(), answers.sum())


def test_variants_of_one_family_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    truth, answers = np.ones(40, bool), rng.random(40) < 0.5
    once: dict[str, Any] = measure_answers(answers, truth, np.arange(40).astype(str), 2000)
    copies = [np.repeat(v, 9) for v in (answers, truth, np.arange(40).astype(str))]
    nine_times: dict[str, Any] = measure_answers(copies[0], copies[1], copies[2], 2000)
    assert nine_times["recall"] == once["recall"]


def make_names(count: int = 200) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Names whose embedding tells whether they are culture-bound and a scorer that knows nothing."""
    rng = np.random.default_rng(0)
    truth = np.arange(count) % 4 == 0
    embeddings = rng.normal(size=(count, 6)).astype(np.float32)
    embeddings[:, 0] += 3 * truth
    category = np.where(embeddings[:, 1] > 0, "Cuisine", "Clothing")
    names = pd.DataFrame(
        {
            "emoji": [f"e{i}" for i in range(count)],
            "name": [f"name {i}" for i in range(count)],
            "family": [f"f{i // 2 * 2 if i % 4 > 1 else i}" for i in range(count)],
            "is_flag": np.arange(count) % 8 == 0,
            "part": np.where(np.arange(count) % 100 < 50, "dev", "test"),
            "truth": truth,
            "true_category": [c if t else None for c, t in zip(category, truth, strict=True)],
        }
    )
    return names, rng.normal(size=count), embeddings


def settings(**changes: int) -> BottomUpSettings:
    mining = change_stage("mining", bottom_up=changes)
    assert isinstance(mining, MiningParameters)
    return mining.bottom_up


def test_the_better_asker_is_used_and_every_name_is_kept_with_a_reason() -> None:
    names, noise, embeddings = make_names()
    table, figures = classify_names(names, noise, embeddings, settings(folds=4, resamples=200))
    BOTTOM_UP.validate(table)
    assert figures["chosen"] == "sentence_encoder"
    assert figures["test"]["sentence_encoder"]["without_flags"]["f1"]["value"] > 0.8
    assert figures["category_accuracy"]["all"]["value"] > 0.7
    assert list(table["emoji"]) == list(names["emoji"])
    answer = table["sentence_encoder_answer"]
    assert ((table["verdict"] == "accepted") == (answer & table["truth"])).all()
    assert (table.loc[answer & ~table["truth"], "reason"] == bottom_up.NOT_KNOWN).all()
    assert (table.loc[~answer & table["truth"], "reason"] == bottom_up.NOT_FOUND).all()
    assert table["category"].notna().equals(answer)
    assert figures["candidates"] == (answer & ~table["truth"]).sum()


def test_nothing_is_learned_from_the_test_part() -> None:
    names, noise, embeddings = make_names()
    flipped = names.copy()
    test = flipped["part"] == "test"
    flipped.loc[test, "truth"] = ~flipped.loc[test, "truth"]
    flipped.loc[test, "true_category"] = np.where(flipped.loc[test, "truth"], "Festival", None)
    table, figures = classify_names(names, noise, embeddings, settings(folds=4, resamples=200))
    other, other_figures = classify_names(flipped, noise, embeddings, settings(folds=4, resamples=200))
    assert table["sentence_encoder_score"].equals(other["sentence_encoder_score"])
    assert figures["thresholds"] == other_figures["thresholds"]
    assert table["category"].equals(other["category"])


def test_too_few_to_learn_from_is_said() -> None:
    names, noise, embeddings = make_names(20)
    with pytest.raises(ConfigurationError, match=r"mining\.bottom_up.*enabled to false"):
        classify_names(names, noise, embeddings, settings(folds=5, resamples=100))


def test_a_single_category_to_learn_from_is_said() -> None:
    names, noise, embeddings = make_names()
    names["true_category"] = names["true_category"].where(names["true_category"].isna(), "Clothing")
    with pytest.raises(ConfigurationError, match=r"mining\.bottom_up.*one category, Clothing.*enabled to false"):
        classify_names(names, noise, embeddings, settings(folds=4, resamples=100))


def test_variants_share_truth_and_part() -> None:
    concepts = pd.DataFrame(
        {"reference_image": ["emoji:🤵", "emoji:🇹🇩", None], "category": ["Clothing", "Symbol", "Art"]}
    )
    names = list_names(list_emoji(), concepts)
    assert set(names.loc[names["truth"], "name"]) == {"person in tuxedo", "man in tuxedo", "woman in tuxedo", "Chad"}
    assert names.groupby("family")["part"].nunique().max() == 1
    assert set(names.loc[names["truth"] & ~names["is_flag"], "true_category"]) == {"Clothing"}


def test_a_pass_that_asks_nothing_has_the_columns() -> None:
    BOTTOM_UP.validate(empty_table())


class CountingModel:
    """Answers by the length of a name, and counts what it is asked; dies on request."""

    fingerprint = "0" * 20

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.dies_after = dies_after

    def choose(self, messages: object, items: list[str], options: tuple[str, str]) -> np.ndarray:
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise RuntimeError("killed")
        self.asked += items
        return np.array([len(item) for item in items], np.float32)


def test_answers_are_kept_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottom_up, "_SLICE", 4)
    store, names = KeyedStore(tmp_path / "a.sqlite"), [f"{'x' * (i % 5)}{i}" for i in range(11)]
    messages = [{"role": "system", "content": "?"}]

    def ask(model: Any, question: list[dict[str, str]] = messages) -> list[float]:
        return list(ask_names(names, model, question, ("A", "B"), store))

    with pytest.raises(RuntimeError):
        ask(CountingModel(dies_after=8))
    assert len(store) == 8
    second = CountingModel()
    assert ask(second) == [len(name) for name in names]
    assert len(second.asked) == 3
    third = CountingModel()
    ask(third)
    assert third.asked == []
    ask(third, [{"role": "system", "content": "another question"}])
    assert len(third.asked) == len(names)
