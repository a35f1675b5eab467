"""Bottom-up mining over all emoji names: which of them are bound to a culture, and of which category?

Two askers give each name a score: a language model, by its log-odds of answering "A" rather than "B" to one question
(asked twice with the letters exchanged, so that a liking for a letter cancels), and a classifier over sentence
embeddings. The atlas is the truth. Everything that is fitted or chosen (the classifier,
both thresholds, which asker is used) is fitted and chosen on the dev part; figures are of the test part. The parts are
split by emoji family, so that variants of one drawing are never on both sides.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.concepts.atlas import EMOJI_SCHEME
from cultureclip.concepts.emoji import Emoji
from cultureclip.concepts.settings import BottomUpSettings
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError
from cultureclip.ids import digest, hash_fraction
from cultureclip.tables import CATEGORIES, VERDICTS

if TYPE_CHECKING:  # the torch import takes seconds, and only code that asks a model needs it
    from cultureclip.models.text import LanguageModel, Message

ASKERS = ("language_model", "sentence_encoder")
NOT_FOUND, NOT_KNOWN, NOT_BOUND = "in the atlas, not found", "not in the atlas", "not culture-bound"
_REASONS = {(True, True): None, (True, False): NOT_KNOWN, (False, True): NOT_FOUND, (False, False): NOT_BOUND}
"""Why a name is not accepted, by (found, true)."""

BOTTOM_UP = pa.DataFrameSchema(
    {
        "emoji": pa.Column(str, unique=True),
        "name": pa.Column(str),
        "family": pa.Column(str),
        "is_flag": pa.Column(bool),
        "part": pa.Column(str, pa.Check.isin(("dev", "test"))),
        "truth": pa.Column(bool),  # a drawing of its family is in the atlas
        "true_category": pa.Column(str, pa.Check.isin(CATEGORIES), nullable=True),
        "language_model_score": pa.Column(float),  # log-odds, nats
        "language_model_answer": pa.Column(bool),
        "sentence_encoder_score": pa.Column(float),  # log-odds, nats
        "sentence_encoder_answer": pa.Column(bool),
        "chosen": pa.Column(str, pa.Check.isin(ASKERS)),
        "category": pa.Column(str, pa.Check.isin(CATEGORIES), nullable=True),  # predicted, of what was found
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, pa.Check.isin((NOT_FOUND, NOT_KNOWN, NOT_BOUND)), nullable=True),
    },
    strict=True,
)
"""Table of the bottom-up pass: one row per emoji; a find outside the atlas is a candidate without facts."""

_PARTS_SALT = "bottom-up-half"
_SLICE = 512  # names asked and stored together: the most that a crash can lose


@dataclass(frozen=True)
class Figure:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def list_names(emoji: tuple[Emoji, ...], concepts: pd.DataFrame) -> pd.DataFrame:
    """Return every emoji with its part and the atlas's facts about its family."""
    drawn = concepts[concepts["reference_image"].str.startswith(EMOJI_SCHEME, na=False)]
    category_of = dict(zip(drawn["reference_image"].str.removeprefix(EMOJI_SCHEME), drawn["category"], strict=True))
    category_of_family = {e.family: category_of[e.char] for e in emoji if e.char in category_of}
    return pd.DataFrame(
        {
            "emoji": [e.char for e in emoji],
            "name": [e.name for e in emoji],
            "family": [e.family for e in emoji],
            "is_flag": [e.is_flag for e in emoji],
            "part": ["dev" if hash_fraction(e.family, _PARTS_SALT) < 0.5 else "test" for e in emoji],
            "truth": [e.family in category_of_family for e in emoji],
            "true_category": [category_of_family.get(e.family) for e in emoji],
        }
    )


def empty_table() -> pd.DataFrame:
    """Return the table of a pass that asked nothing."""
    return pd.DataFrame({name: pd.Series(dtype=str(column.dtype)) for name, column in BOTTOM_UP.columns.items()})


def ask_names(
    names: list[str],
    model: "LanguageModel",
    messages: Sequence["Message"],
    options: tuple[str, str],
    store: KeyedStore,
) -> np.ndarray:
    """Return the model's log-odds of the first option against the second per name; cached answers are not asked again.

    Names are asked in fixed slices, sorted by length to save padding: a run that was cut short asks whole slices again
    and so gets the same numbers as one that was not.

    Args:
        names: Names to ask about.
        model: Language model to ask.
        messages: Instructions and worked examples before the name; computed once a slice.
        options: The two answers.
        store: Cache of the answers, by model, question and name.

    Returns:
        float64 [N], nats.
    """
    keys = {name: digest("choose", model.fingerprint, [dict(m) for m in messages], options, name) for name in names}
    ordered = sorted(keys, key=lambda name: (len(name), name))
    kept = store.get(keys.values())
    for start in range(0, len(ordered), _SLICE):
        part = ordered[start : start + _SLICE]
        if any(keys[name] not in kept for name in part):
            log_odds = model.choose(messages, part, options)
            store.put({keys[name]: round(float(value), 6) for name, value in zip(part, log_odds, strict=True)})
    answers = store.get(keys.values())
    return np.array([answers[keys[name]] for name in names], float)


def classify_names(
    names: pd.DataFrame, log_odds: np.ndarray, embeddings: np.ndarray, settings: BottomUpSettings
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Let both askers decide, use the better, and measure.

    Args:
        names: Names from :func:`list_names`, N.
        log_odds: The language model's, [N].
        embeddings: Sentence embeddings of the names, [N, D].
        settings: Folds of the cross-validation in the dev part, and bootstrap samples per interval.

    Returns:
        A table that fits :data:`BOTTOM_UP`, and the figures.

    Raises:
        ConfigurationError: if a part has too few culture-bound names other than flags to learn from or measure on, or
            all of one category.
    """
    dev, objects = (names["part"] == "dev").to_numpy(), ~names["is_flag"].to_numpy()
    truth = names["truth"].to_numpy()
    folds, resamples = settings.folds, settings.resamples
    _check_enough(names, folds)
    table = names.assign(
        language_model_score=log_odds.astype(float), sentence_encoder_score=_score_binding(names, embeddings, folds)
    )
    thresholds, dev_f1 = {}, {}
    for asker in ASKERS:
        scores = table[f"{asker}_score"].to_numpy()
        thresholds[asker], dev_f1[asker] = best_threshold(scores[dev & objects], truth[dev & objects])
        table[f"{asker}_answer"] = scores >= thresholds[asker]
    chosen = max(ASKERS, key=dev_f1.__getitem__)
    found = table[f"{chosen}_answer"].to_numpy()
    category = _score_category(names, embeddings)
    table["chosen"] = chosen
    table["category"] = [name if is_found else None for name, is_found in zip(category, found, strict=True)]
    table["reason"] = [_REASONS[answer, right] for answer, right in zip(found.tolist(), truth.tolist(), strict=True)]
    table["verdict"] = np.where(table["reason"].isna(), "accepted", "rejected")
    figures = {
        "names": len(table),
        "chosen": chosen,
        "thresholds": thresholds,
        "dev_f1_without_flags": dev_f1,
        "test": {asker: _measure(table, table[f"{asker}_answer"].to_numpy(), resamples) for asker in ASKERS},
        "category_accuracy": _measure_category(table, category, resamples),
        "candidates": int((found & ~truth).sum()),
    }
    return table, figures


def best_threshold(scores: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return the threshold t for which ``score >= t`` has the highest F1, and that F1; among equals the highest t."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(truth[order])
    f1 = 2 * right / (np.arange(1, len(scores) + 1) + truth.sum())
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    return float(ranked[best]), float(f1[best])


def measure_answers(
    answers: np.ndarray, truth: np.ndarray, families: np.ndarray, resamples: int
) -> dict[str, Figure | int]:
    """Return precision, recall and F1 with percentile bootstrap intervals; families are resampled, not names.

    Where nothing was found, or nothing is true, the ratio is counted as 0.
    """
    _, family = np.unique(families, return_inverse=True)
    counts = np.stack(
        [np.bincount(family, weights=w) for w in (answers & truth, answers & ~truth, ~answers & truth)]
    )  # true positives, false positives, false negatives of each family, [3, F]
    share = np.full(counts.shape[1], 1 / counts.shape[1])
    weights = np.random.default_rng(0).multinomial(counts.shape[1], share, size=resamples)
    here, drawn = _ratios(counts.sum(axis=1)), _ratios(counts @ weights.T)
    lows, highs = np.quantile(drawn, [0.025, 0.975], axis=1)
    named = {
        name: Figure(float(v), float(low), float(high))
        for name, v, low, high in zip(("precision", "recall", "f1"), here, lows, highs, strict=True)
    }
    return {**named, "names": len(truth), "true": int(truth.sum()), "found": int(answers.sum())}


def _ratios(counts: np.ndarray) -> np.ndarray:
    """Return precision, recall, F1, [3, ...], of true positives, false positives and false negatives, [3, ...]."""
    hit, false, missed = counts
    return np.stack(
        [
            hit / np.maximum(hit + false, 1),
            hit / np.maximum(hit + missed, 1),
            2 * hit / np.maximum(2 * hit + false + missed, 1),
        ]
    )


def _check_enough(names: pd.DataFrame, folds: int) -> None:
    remedy = "Set mining.bottom_up.enabled to false for such concepts"
    for part in ("dev", "test"):
        bound = names[(names["part"] == part) & names["truth"] & ~names["is_flag"]]
        if bound["family"].nunique() < folds:
            count = bound["family"].nunique()
            cause = f"the {part} part has {count} culture-bound emoji that are not flags, {folds} are needed"
            raise ConfigurationError("mining.bottom_up", cause, remedy)
    categories = names.loc[(names["part"] == "dev") & names["truth"], "true_category"].unique()
    if len(categories) < 2:
        cause = f"all culture-bound emoji of the dev part are of one category, {categories[0]}"
        raise ConfigurationError("mining.bottom_up", cause, remedy)


def _score_binding(names: pd.DataFrame, embeddings: np.ndarray, folds: int) -> np.ndarray:
    """Return log-odds of being culture-bound by logistic regression that has never seen the name's family, [N].

    Dev names are scored by cross-validation within dev, test names by the model that is fitted to all of dev.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    dev, truth = (names["part"] == "dev").to_numpy(), names["truth"].to_numpy()
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    scores = np.zeros(len(names))
    scores[dev] = cross_val_predict(
        model,
        embeddings[dev],
        truth[dev],
        groups=names["family"][dev],
        cv=StratifiedGroupKFold(folds),
        method="decision_function",
    )
    scores[~dev] = model.fit(embeddings[dev], truth[dev]).decision_function(embeddings[~dev])
    return scores


def _score_category(names: pd.DataFrame, embeddings: np.ndarray) -> np.ndarray:
    """Return the likeliest category of each name, by logistic regression on dev's culture-bound names."""
    from sklearn.linear_model import LogisticRegression

    known = ((names["part"] == "dev") & names["truth"]).to_numpy()
    model = LogisticRegression(class_weight="balanced", C=10, max_iter=1000)
    return np.asarray(model.fit(embeddings[known], names["true_category"][known]).predict(embeddings), dtype=object)


def _parts(table: pd.DataFrame) -> dict[str, np.ndarray]:
    test = (table["part"] == "test").to_numpy()
    return {"all": test, "without_flags": test & ~table["is_flag"].to_numpy()}


def _measure(table: pd.DataFrame, answers: np.ndarray, resamples: int) -> dict[str, Any]:
    truth, families = table["truth"].to_numpy(), table["family"].to_numpy()
    measured = {
        part: measure_answers(answers[rows], truth[rows], families[rows], resamples)
        for part, rows in _parts(table).items()
    }
    return {
        part: {name: asdict(value) if isinstance(value, Figure) else value for name, value in figures.items()}
        for part, figures in measured.items()
    }


def _measure_category(table: pd.DataFrame, category: np.ndarray, resamples: int) -> dict[str, Any]:
    """Return the share of culture-bound test names whose category is right, which is the recall of the right answer."""
    right = category == table["true_category"].to_numpy()
    accuracy = {}
    for part, rows in _parts(table).items():
        bound = rows & table["truth"].to_numpy()
        figures = measure_answers(
            right[bound], np.ones(bound.sum(), bool), table["family"].to_numpy()[bound], resamples
        )
        accuracy[part] = {**asdict(figures["recall"]), "names": int(bound.sum())}  # type: ignore[arg-type]
    return accuracy
