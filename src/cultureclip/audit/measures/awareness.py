"""What changes when a model is told whose answers it gives, after CultureSPA (arXiv 2410.12971).

A question is asked of "a person" (unaware) and of a person of a culture (aware). A question whose answer changes is
culture-related. At a temperature above 0 an answer also changes by chance, which the published selection does not tell
apart: here the unaware question is repeated, and a change counts only against the changes between repeats.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cultureclip.audit.measures.intervals import CrossedItems, jackknife, transform
from cultureclip.statistics import Estimate

AWARE, UNAWARE = "aware", "unaware"
_CELL = ["item", "wording", "repeat"]


def pair_answers(answers: pd.DataFrame) -> pd.DataFrame:
    """Put each aware answer beside the unaware one to the same question, wording and repeat.

    Args:
        answers: Table ANSWERS.

    Returns:
        ``item``, ``topic``, ``country``, ``stratum``, ``wording``, ``repeat``, and ``aware``, ``unaware`` and
        ``again`` (the unaware answer of the next repeat; null where there is none), null where not read.
    """
    aware = answers[answers["mode"] == AWARE].rename(columns={"option": "aware"})
    unaware = answers[answers["mode"] == UNAWARE][[*_CELL, "option"]]
    repeats = max(int(unaware["repeat"].max()) + 1 if len(unaware) else 0, 1)
    again = unaware.assign(repeat=(unaware["repeat"] - 1) % repeats).rename(columns={"option": "again"})
    if repeats < 2:
        again["again"] = pd.array([pd.NA] * len(again), dtype="Int64")
    paired = aware.merge(unaware.rename(columns={"option": "unaware"}), on=_CELL, how="left")
    paired = paired.merge(again, on=_CELL, how="left")
    columns = ["item", "topic", "country", "stratum", "wording", "repeat", "aware", "unaware", "again"]
    return paired[columns].astype({"aware": "Int64", "unaware": "Int64", "again": "Int64"})


def estimate_change(pairs: pd.DataFrame) -> dict[str, Estimate | None]:
    """Estimate how many answers a culture changes.

    Args:
        pairs: From :func:`pair_answers`.

    Returns:
        ``changed``: share of pairs of two read answers that differ. ``by_chance``: share of unaware answers that
        differ from their own repeat. ``beyond_chance``: the paired difference of the two. None without such pairs.
    """
    both = pairs[pairs["aware"].notna() & pairs["unaware"].notna()]
    thrice = both[both["again"].notna()]
    found: dict[str, Estimate | None] = {"changed": None, "by_chance": None, "beyond_chance": None}
    if len(both):
        found["changed"] = _crossed(both).estimate_mean(_differ(both, "aware"))
    if len(thrice):
        items, changed, chance = _crossed(thrice), _differ(thrice, "aware"), _differ(thrice, "again")
        found["by_chance"] = items.estimate_mean(chance)
        found["beyond_chance"] = items.estimate_difference(changed, chance)
    return found


def select_instances(pairs: pd.DataFrame) -> pd.DataFrame:
    """Say of every pair whether it is culture-related: both answers are read, they differ, and chance is not why.

    Args:
        pairs: From :func:`pair_answers`.

    Returns:
        The pairs with ``verdict`` (accepted or rejected) and ``reason``: ``aware_unread``, ``unaware_unread``,
        ``same_answer``, ``not_repeated`` (there is no second unaware answer to compare with) or ``not_stable`` (the
        unaware answer differs from its repeat). No pair is left out.
    """
    checks: Sequence[tuple[str, pd.Series]] = (
        ("aware_unread", pairs["aware"].isna()),
        ("unaware_unread", pairs["unaware"].isna()),
        ("same_answer", pairs["aware"].eq(pairs["unaware"]).fillna(False)),
        ("not_repeated", pairs["again"].isna()),
        ("not_stable", pairs["again"].ne(pairs["unaware"]).fillna(False)),
    )
    reason = pd.Series(None, index=pairs.index, dtype=object)
    for name, holds in reversed(checks):
        reason[holds.astype(bool)] = name
    verdict = np.where(reason.isna(), "accepted", "rejected")
    return pairs.assign(verdict=verdict, reason=reason.where(reason.notna(), None))


def estimate_alignment(
    answers: np.ndarray, gold: np.ndarray, options: np.ndarray, questions: np.ndarray, wordings: np.ndarray
) -> Estimate:
    """Return CultureSPA's alignment score, 1 - ||a - g|| / ||max - 1||, with its interval over questions and wordings.

    The squared ratio is a mean of ((a - g) / (max - 1))^2 with weights (max - 1)^2; its interval is put on the score's
    scale.

    Args:
        answers: Read answers, from 1, [N].
        gold: Answers of most people of the culture, [N].
        options: Number of options of each question, at least 2, [N].
        questions: Question of each answer, [N].
        wordings: Its wording, [N].
    """
    width = np.asarray(options, float) - 1
    share = np.square((np.asarray(answers, float) - gold) / width)
    return transform(CrossedItems(questions, wordings, np.square(width)).estimate_mean(share), _score)


def mean_alignment(scored: pd.DataFrame) -> Estimate | None:
    """Return the mean of the countries' alignment scores, with the jackknife's interval over questions.

    Countries are asked the same questions, so they are no sample of their own.

    Args:
        scored: Read answers with ``item``, ``country``, ``option``, ``options`` and ``gold``.

    Returns:
        None without an answer; for a single question, or where no question makes a difference, the interval is [0, 1].
    """
    if scored.empty:
        return None
    width = scored["options"].to_numpy(float) - 1
    squares = np.square(scored["option"].to_numpy(float) - scored["gold"].to_numpy(float))
    cells = pd.DataFrame(
        {"item": scored["item"], "country": scored["country"], "far": squares, "most": np.square(width)}
    )
    far, most = (
        cells.pivot_table(name, "country", "item", "sum", fill_value=0.0).to_numpy() for name in ("far", "most")
    )
    value = _mean_score(far.sum(1), most.sum(1))
    if far.shape[1] < 2:
        return Estimate(value, 0.0, 1.0)
    left_out = [_mean_score(far.sum(1) - far[:, i], most.sum(1) - most[:, i]) for i in range(far.shape[1])]
    found = jackknife(value, np.array(left_out))
    return Estimate(value, 0.0, 1.0) if found is None else Estimate(value, max(0.0, found.low), min(1.0, found.high))


def alignment_by_rule(gold: np.ndarray, options: np.ndarray) -> dict[str, float]:
    """Return the scores of two rules that know no culture: any option at random, and always the middle one.

    Args:
        gold: Answers of most people, [N].
        options: Number of options of each question, [N].
    """
    gold, options = np.asarray(gold, float), np.asarray(options, float)
    most = np.square(options - 1).sum()
    any_option = (np.square(options) - 1) / 12 + np.square((options + 1) / 2 - gold)  # variance and squared bias
    middle = np.square(np.floor((options + 1) / 2) - gold)
    return {"random": _score(any_option.sum() / most), "middle": _score(middle.sum() / most)}


def _mean_score(far: np.ndarray, most: np.ndarray) -> float:
    """Return the mean score of countries; one that was asked nothing else has none."""
    known = most > 0
    return float(np.mean(1 - np.sqrt(far[known] / most[known])))


def _score(share: float) -> float:
    return float(1 - np.sqrt(share))


def _crossed(pairs: pd.DataFrame) -> CrossedItems:
    return CrossedItems(pairs["item"].to_numpy(), pairs["wording"].to_numpy())


def _differ(pairs: pd.DataFrame, column: str) -> np.ndarray:
    return np.asarray(pairs[column].ne(pairs["unaware"]).to_numpy(bool), float)
