"""Who tells concepts from other titles: two askers compared on a sample whose truth is known, and the better one kept.

A language model scores each title by its answers; a classifier scores its sentence embedding. Everything that is fitted
or chosen (the classifiers, both thresholds, which asker is used) is fitted and chosen on the dev part; figures are of
the test part. The parts are split by group, so that variants of one thing are never on both sides.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.concepts.bottom_up.measure import best_threshold, measure_categories, measure_parts
from cultureclip.concepts.settings import BottomUpSettings
from cultureclip.errors import ConfigurationError
from cultureclip.tables import CATEGORIES, VERDICTS

if TYPE_CHECKING:  # the import takes a second, and only a run needs it
    from sklearn.linear_model import LogisticRegression

Asker = Literal["language_model", "sentence_encoder"]
ASKERS: tuple[Asker, ...] = ("language_model", "sentence_encoder")
NOT_FOUND, NOT_KNOWN, NOT_BOUND = "a concept, not found", "found, not a concept in the sample", "not a concept"
NO_ANSWER = "no answer"
_REASONS = {(True, True): None, (True, False): NOT_KNOWN, (False, True): NOT_FOUND, (False, False): NOT_BOUND}
"""Why a title is not accepted, by (found, true)."""

BOTTOM_UP = pa.DataFrameSchema(
    {
        "title": pa.Column(str, unique=True),
        "group": pa.Column(str),
        "subset": pa.Column(str),
        "part": pa.Column(str, pa.Check.isin(("dev", "test"))),
        "truth": pa.Column(bool),
        "true_category": pa.Column(str, pa.Check.isin(CATEGORIES), nullable=True),
        "language_model_score": pa.Column(float, nullable=True),  # log-odds in nats, or -1 to 1; null: no answer
        "language_model_answer": pa.Column(bool),
        "sentence_encoder_score": pa.Column(float),  # log-odds, nats
        "sentence_encoder_answer": pa.Column(bool),
        "chosen": pa.Column(str, pa.Check.isin(ASKERS)),
        "category": pa.Column(str, pa.Check.isin(CATEGORIES), nullable=True),  # predicted, of what was found
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, pa.Check.isin((NOT_FOUND, NOT_KNOWN, NOT_BOUND, NO_ANSWER)), nullable=True),
    },
    strict=True,
)
"""Table of the bottom-up pass: one row per title of the sample."""


@dataclass(frozen=True)
class Calibrated:
    """What was learned from the sample.

    Attributes:
        chosen: The better asker.
        threshold: Least score of a concept.
        binding: Tells concepts from other titles by their embeddings.
        category: Tells categories by embeddings.
    """

    chosen: Asker
    threshold: float
    binding: "LogisticRegression"
    category: "LogisticRegression"


def calibrate(
    titles: pd.DataFrame,
    scores: np.ndarray,
    embeddings: np.ndarray,
    settings: BottomUpSettings,
    categories: list[str | None] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any], Calibrated]:
    """Let both askers decide, keep the better, and measure.

    Args:
        titles: The sample, from :func:`cultureclip.concepts.bottom_up.titles.read_titles`, N.
        scores: The language model's, [N]; NaN where it gave no answer.
        embeddings: Sentence embeddings of the titles, [N, D].
        settings: What thresholds are chosen on, folds of the cross-validation, and bootstrap samples per interval.
        categories: The language model's, [N]; None: a classifier of embeddings tells them.

    Returns:
        A table that fits :data:`BOTTOM_UP`, the figures, and what was learned.

    Raises:
        ConfigurationError: if a part has too few concepts to learn from or measure on, or all of one category.
    """
    learned = (titles["part"] == "dev").to_numpy()
    if settings.learn_from is not None:
        learned = learned & titles["subset"].isin(settings.learn_from).to_numpy()
    _check_enough(titles, settings)
    truth = titles["truth"].to_numpy()
    binding, encoder_scores = _fit_binding(titles, embeddings, settings.folds)
    category = _fit_category(titles, embeddings)
    table = titles.drop(columns=["context", "picture"]).assign(
        language_model_score=scores.astype(float), sentence_encoder_score=encoder_scores
    )
    thresholds, dev_f1 = {}, {}
    for asker in ASKERS:
        values = table[f"{asker}_score"].to_numpy()
        given = learned & ~np.isnan(values)
        if given.any():
            thresholds[asker], dev_f1[asker] = best_threshold(values[given], truth[given])
        table[f"{asker}_answer"] = values >= thresholds.get(asker, np.inf)  # without an answer: not found
    chosen = max(dev_f1, key=lambda asker: dev_f1[asker])
    predicted = np.asarray(category.predict(embeddings) if categories is None else categories, dtype=object)
    _judge(table, chosen, predicted)
    figures = {
        "titles": len(table),
        "chosen": chosen,
        "thresholds": thresholds,
        "dev_f1": dev_f1,
        "test": {
            asker: measure_parts(table, table[f"{asker}_answer"].to_numpy(), settings.resamples) for asker in ASKERS
        },
        "category_accuracy": measure_categories(table, predicted, settings.resamples),
        "found_outside": int((table["reason"] == NOT_KNOWN).sum()),
        "no_answer": int(table["language_model_score"].isna().sum()),
    }
    return table, figures, Calibrated(chosen, thresholds[chosen], binding, category)


def _judge(table: pd.DataFrame, chosen: Asker, predicted: np.ndarray) -> None:
    """Write the chosen asker's verdicts into the table."""
    found = table[f"{chosen}_answer"]
    silent = table[f"{chosen}_score"].isna()
    table["chosen"] = chosen
    table["category"] = pd.Series(predicted, index=table.index, dtype=object).where(found, None)
    reasons = [_REASONS[answer, right] for answer, right in zip(found.tolist(), table["truth"].tolist(), strict=True)]
    table["reason"] = pd.Series(reasons, index=table.index, dtype=object).mask(silent, NO_ANSWER)
    table["verdict"] = np.where(silent, "failed", np.where(table["reason"].isna(), "accepted", "rejected"))


def _check_enough(titles: pd.DataFrame, settings: BottomUpSettings) -> None:
    remedy = "Add titles to mining.bottom_up.titles, or set mining.bottom_up.enabled to false"
    counted = titles["truth"]
    if settings.learn_from is not None:
        counted = counted & titles["subset"].isin(settings.learn_from)
    for part in ("dev", "test"):
        of_part = titles["part"] == part
        groups = titles.loc[of_part & counted, "group"].nunique()
        if groups < settings.folds:
            cause = f"the {part} part has {groups} groups of concepts to learn from, {settings.folds} are needed"
            raise ConfigurationError("mining.bottom_up", cause, remedy)
        if titles.loc[of_part & ~titles["truth"], "group"].nunique() < settings.folds:
            cause = f"the {part} part has fewer than {settings.folds} groups of titles that are no concepts"
            raise ConfigurationError("mining.bottom_up", cause, remedy)
    categories = titles.loc[(titles["part"] == "dev") & titles["truth"], "true_category"].dropna().unique()
    if len(categories) < 2:
        cause = f"all concepts of the dev part are of one category, {', '.join(categories) or 'none is given'}"
        raise ConfigurationError("mining.bottom_up", cause, remedy)


def _fit_binding(titles: pd.DataFrame, embeddings: np.ndarray, folds: int) -> tuple["LogisticRegression", np.ndarray]:
    """Fit a classifier to all of dev; return it with the log-odds of being a concept, [N].

    No title is scored by a classifier that has seen its group: dev titles are scored by cross-validation within dev.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    dev, truth = (titles["part"] == "dev").to_numpy(), titles["truth"].to_numpy()
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    scores = np.zeros(len(titles))
    scores[dev] = cross_val_predict(
        model,
        embeddings[dev],
        truth[dev],
        groups=titles["group"][dev],
        cv=StratifiedGroupKFold(folds),
        method="decision_function",
    )
    scores[~dev] = model.fit(embeddings[dev], truth[dev]).decision_function(embeddings[~dev])
    return model, scores


def _fit_category(titles: pd.DataFrame, embeddings: np.ndarray) -> "LogisticRegression":
    """Fit a classifier to the categories of dev's concepts."""
    from sklearn.linear_model import LogisticRegression

    known = ((titles["part"] == "dev") & titles["true_category"].notna()).to_numpy()
    model = LogisticRegression(class_weight="balanced", C=10, max_iter=1000)
    return model.fit(embeddings[known], titles["true_category"][known])
