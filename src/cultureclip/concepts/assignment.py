"""Which pairs become twins: rules that a pair must pass by itself, then a choice with a few twins for each concept."""

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from cultureclip.concepts.incidence import count_common, incidence
from cultureclip.concepts.reviews import ACCEPTED, REJECTED
from cultureclip.concepts.selection import Worth
from cultureclip.concepts.settings import TwinSettings

EXCLUDED = "excluded"
EVALUATION_ONLY = "for evaluation only"
INDISTINGUISHABLE = "indistinguishable"
SAME_NAME = "same name"
REJECTED_IN_REVIEW = "rejected in review"
TOO_DIFFERENT = "not alike enough"
CHANCE = "not more alike than random pairs"
OTHER_THINGS = "different kinds of things"
SAME_CONTEXT = "contexts too close"
SHARED_FEATURES = "too many shared features"
CONCEPT_USED = "concept is in enough twins"
KIND_FULL = "enough twins of its kind"
CATEGORY_FULL = "enough twins of its category"
CULTURE_FULL = "culture is in enough twins"

_PAIRS_AT_ONCE = 16384

Turn = tuple[bool, int, int, float, int]
"""When a pair is next: whether people have not accepted it, twins of its concepts, of its cultures, worth, place."""


def check_pairs(
    pairs: pd.DataFrame,
    concepts: pd.DataFrame,
    used: np.ndarray,
    held_out: np.ndarray,
    settings: TwinSettings,
    excluded: Collection[str] = (),
) -> np.ndarray:
    """Return for each pair the first rule that it breaks by itself, or None; object [P].

    Args:
        pairs: Columns a, b (row numbers of concepts), visual_similarity, chance (the share of random pairs that are
            less alike), kind_similarity, cultural_overlap and review. Where people accept a pair, no bound on a measure
            refuses it.
        concepts: Rows with ``name``, ``aliases`` and ``key_visual_features``, N.
        used: Which concepts stand for themselves, bool [N].
        held_out: Which concepts are for evaluation only, bool [N].
        settings: The bounds.
        excluded: Ids of concepts that people took out.
    """
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    called = zip(concepts["name"], concepts["aliases"], strict=True)
    names = incidence([{text.casefold() for text in (name, *aliases)} for name, aliases in called])
    out = concepts["concept_id"].isin(list(excluded)).to_numpy()
    rules = {
        EXCLUDED: out[a] | out[b],
        EVALUATION_ONLY: held_out[a] | held_out[b],
        INDISTINGUISHABLE: ~(used[a] & used[b]),
        SAME_NAME: count_common(names, a, b) > 0,
        REJECTED_IN_REVIEW: (pairs["review"] == REJECTED).to_numpy(),
    }
    bounds = {
        TOO_DIFFERENT: pairs["visual_similarity"].to_numpy() < settings.min_visual_similarity,
        CHANCE: pairs["chance"].to_numpy() < settings.min_chance_quantile,
        OTHER_THINGS: pairs["kind_similarity"].to_numpy() < settings.min_kind_similarity,
        SAME_CONTEXT: pairs["cultural_overlap"].to_numpy() > settings.max_cultural_overlap,
        SHARED_FEATURES: _share_features(concepts["key_visual_features"], a, b) > settings.max_shared_features,
    }
    by_people = (pairs["review"] == ACCEPTED).to_numpy()
    broken = rules | {reason: beyond & ~by_people for reason, beyond in bounds.items()}
    first = np.argmax([*broken.values(), np.ones(len(pairs), bool)], axis=0)
    reasons: np.ndarray = np.array([*broken, None], dtype=object)[first]
    return reasons


def _share_features(features: Iterable[Iterable[str]], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return of each pair the features that both have as a share of those that either has, [P]."""
    matrix = incidence([set(row) for row in features])
    common, count = count_common(matrix, a, b), np.asarray(matrix.sum(axis=1)).ravel()
    share: np.ndarray = common / np.maximum(1, count[a] + count[b] - common)
    return share


def choose_pairs(
    pairs: pd.DataFrame, refused: np.ndarray, cultures: Sequence[Sequence[str]], worth: Worth, settings: TwinSettings
) -> np.ndarray:
    """Choose twins one by one; return for each pair the reason why it is not a twin, or None if it is one; object [P].

    Pairs that people accept come first, then the pair that is worth most. Evenly, it is the one of those whose
    concepts, and then whose cultures, have the fewest twins so far.

    Args:
        pairs: Columns a, b (row numbers of concepts), kind, category and review; of pairs worth the same the first is
            next.
        refused: From :func:`check_pairs`.
        cultures: Cultures of each concept.
        worth: What each pair is worth.
        settings: The bounds, and the order.
    """
    reasons = refused.copy()
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    kinds, categories = pairs["kind"].to_numpy(), pairs["category"].to_numpy()
    quotas = _Quotas(cultures, settings)
    late = (pairs["review"] != ACCEPTED).to_numpy()

    def leave_out_full(places: np.ndarray) -> np.ndarray:
        full = quotas.find_full(a[places], b[places], kinds[places])
        reasons[places] = full
        kept: np.ndarray = places[pd.isna(full)]
        return kept

    queue = _Queue(np.flatnonzero(pd.isna(refused)), late, worth.of_all(), leave_out_full)
    while (entry := queue.pop()) is not None:
        place = entry[-1]
        pair = (int(a[place]), int(b[place]), kinds[place], categories[place])
        reasons[place] = quotas.refuse(*pair)
        if reasons[place] is not None:
            continue
        even = quotas.count_twins(*pair[:2]) if settings.cover_evenly else (0, 0)
        turn = (bool(late[place]), *even, -worth.of(place), place)
        if turn > entry:  # counts only grow and worth only falls, so what was queued is a lower bound
            queue.put_back(turn)
            continue
        quotas.take(*pair)
        worth.take(place)
    return reasons


class _Queue:
    """Pairs by their turn, the first one first. Only those that are put back are in memory as objects.

    Args:
        places: Pairs that may become twins.
        late: Whether a pair comes after those that people accept, bool [P].
        worth: What each pair is worth at first, [P].
        leave_out_full: Returns those of some pairs that may still become twins, when their turn is near: of tens of
            millions of pairs most are never looked at one by one.
    """

    def __init__(
        self,
        places: np.ndarray,
        late: np.ndarray,
        worth: np.ndarray,
        leave_out_full: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._late, self._worth, self._leave_out_full = late, worth, leave_out_full
        order = places[np.lexsort((-worth[places], late[places]))]
        self._blocks = (order[start : start + _PAIRS_AT_ONCE] for start in range(0, len(order), _PAIRS_AT_ONCE))
        self._fresh: list[int] = []
        """Pairs of the block, the next one last."""
        self._again: list[Turn] = []

    def pop(self) -> Turn | None:
        """Take the first pair out; None if none is left."""
        fresh = self._see_fresh()
        if fresh is None or (self._again and self._again[0] < fresh):
            return heapq.heappop(self._again) if self._again else None
        self._fresh.pop()
        return fresh

    def put_back(self, turn: Turn) -> None:
        """Put a pair back for a later turn."""
        heapq.heappush(self._again, turn)

    def _see_fresh(self) -> Turn | None:
        while not self._fresh:
            block = next(self._blocks, None)
            if block is None:
                return None
            self._fresh = self._leave_out_full(block)[::-1].tolist()
        place = self._fresh[-1]
        return bool(self._late[place]), 0, 0, -float(self._worth[place]), place


class _Quotas:
    """How many twins each concept, culture, kind and category is in, and which of them have enough."""

    def __init__(self, cultures: Sequence[Sequence[str]], settings: TwinSettings) -> None:
        self._cultures, self._settings = cultures, settings
        self._of_concept = np.zeros(len(cultures), np.int64)
        self._of_culture: Counter[str] = Counter()
        self._of_kind: Counter[str] = Counter()
        self._of_category: Counter[str] = Counter()

    def find_full(self, a: np.ndarray, b: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Return of many pairs why no twin of these concepts or this kind is possible any more, or None; object [P].

        What :meth:`refuse` says of such a pair does not change later: a concept that is full stays so, and where a kind
        is full, its concepts get no more twins.
        """
        counts, full = self._of_concept, np.full(len(a), None, object)
        limits = self._settings.max_twins_per_kind
        full[np.isin(kinds, [kind for kind, most in limits.items() if self._of_kind[kind] >= most])] = KIND_FULL
        full[np.maximum(counts[a], counts[b]) >= self._settings.max_twins_per_concept] = CONCEPT_USED
        return full

    def refuse(self, a: int, b: int, kind: str, category: str) -> str | None:
        """Return which quota another twin of these two concepts would exceed, if any."""
        settings = self._settings
        if max(self._of_concept[a], self._of_concept[b]) >= settings.max_twins_per_concept:
            return CONCEPT_USED
        if self._of_kind[kind] >= settings.max_twins_per_kind[kind]:
            return KIND_FULL
        if self._of_category[category] >= settings.max_twins_per_category.get(category, float("inf")):
            return CATEGORY_FULL
        most = settings.max_twins_per_culture
        if most is not None and max(self._of_culture[code] for code in self._both(a, b)) >= most:
            return CULTURE_FULL
        return None

    def count_twins(self, a: int, b: int) -> tuple[int, int]:
        """Return how many twins the two concepts are in, the more used one, and their cultures, both together."""
        most = int(max(self._of_concept[a], self._of_concept[b]))
        return most, sum(max(self._of_culture[code] for code in self._cultures[end]) for end in (a, b))

    def take(self, a: int, b: int, kind: str, category: str) -> None:
        """Count a twin."""
        self._of_concept[[a, b]] += 1
        self._of_culture.update(self._both(a, b))
        self._of_kind[kind] += 1
        self._of_category[category] += 1

    def _both(self, a: int, b: int) -> tuple[str, ...]:
        return (*self._cultures[a], *self._cultures[b])
