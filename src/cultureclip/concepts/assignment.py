"""Which pairs become twins: rules that a pair must pass by itself, then a choice with a few twins for each concept."""

import heapq
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cultureclip.concepts.settings import TwinSettings

FLAG, OBJECT = "flag", "object"
EVALUATION_ONLY = "for evaluation only"
INDISTINGUISHABLE = "indistinguishable"
SAME_NAME = "same name"
TOO_DIFFERENT = "not alike enough"
CHANCE = "not more alike than random pairs"
SAME_CONTEXT = "contexts too close"
SHARED_FEATURES = "too many shared features"
CONCEPT_USED = "concept is in enough twins"
KIND_FULL = "enough twins of its kind"


def check_pairs(
    pairs: pd.DataFrame, concepts: pd.DataFrame, used: np.ndarray, held_out: np.ndarray, settings: TwinSettings
) -> list[str | None]:
    """Return for each pair the first rule that it breaks by itself, or None.

    Args:
        pairs: Columns a, b (row numbers of concepts), visual_similarity, chance (the share of random pairs that are
            less alike) and cultural_overlap.
        concepts: Rows with ``name``, ``aliases`` and ``key_visual_features``, N.
        used: Which concepts stand for themselves, bool [N].
        held_out: Which concepts are for evaluation only, bool [N].
        settings: The bounds.
    """
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    names = [
        {text.casefold() for text in (name, *aliases)}
        for name, aliases in zip(concepts["name"], concepts["aliases"], strict=True)
    ]
    features = [set(row) for row in concepts["key_visual_features"]]
    ends = list(zip(a.tolist(), b.tolist(), strict=True))
    broken = {
        EVALUATION_ONLY: held_out[a] | held_out[b],
        INDISTINGUISHABLE: ~(used[a] & used[b]),
        SAME_NAME: np.array([not names[i].isdisjoint(names[j]) for i, j in ends]),
        TOO_DIFFERENT: pairs["visual_similarity"].to_numpy() < settings.min_visual_similarity,
        CHANCE: pairs["chance"].to_numpy() < settings.min_chance_quantile,
        SAME_CONTEXT: pairs["cultural_overlap"].to_numpy() > settings.max_cultural_overlap,
        SHARED_FEATURES: np.array([_share(features[i], features[j]) > settings.max_shared_features for i, j in ends]),
    }
    first = np.argmax([*broken.values(), np.ones(len(pairs), bool)], axis=0)
    return [[*broken, None][rule] for rule in first.tolist()]


def choose_pairs(
    pairs: pd.DataFrame, refused: Sequence[str | None], cultures: Sequence[Sequence[str]], settings: TwinSettings
) -> list[str | None]:
    """Choose twins one by one; return for each pair the reason why it is not a twin, or None if it is one.

    By score, the best pair is next. Evenly, it is the best one of those whose concepts, and then whose cultures, have
    the fewest twins so far.

    Args:
        pairs: Columns a, b (row numbers of concepts) and kind, best first.
        refused: From :func:`check_pairs`.
        cultures: Cultures of each concept.
        settings: The bounds, and the order.
    """
    limits = {FLAG: settings.max_flag_twins, OBJECT: settings.max_object_twins}
    twins_of: Counter[int] = Counter()
    twins_of_culture: Counter[str] = Counter()
    twins_of_kind: Counter[str] = Counter()
    reasons = list(refused)
    ends = list(zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True))
    kinds = pairs["kind"].tolist()
    queue = [(0, 0, place) for place, reason in enumerate(refused) if reason is None]  # sorted, so a heap
    while queue:
        entry = heapq.heappop(queue)
        place = entry[-1]
        a, b = ends[place]
        most = max(twins_of[a], twins_of[b])
        if most >= settings.max_twins_per_concept:
            reasons[place] = CONCEPT_USED
            continue
        if twins_of_kind[kinds[place]] >= limits[kinds[place]]:
            reasons[place] = KIND_FULL
            continue
        if settings.cover_evenly:
            covered = sum(max(twins_of_culture[code] for code in cultures[end]) for end in (a, b))
            if (most, covered, place) > entry:  # counts only grow, so what was queued is a lower bound
                heapq.heappush(queue, (most, covered, place))
                continue
        twins_of.update((a, b))
        twins_of_culture.update((*cultures[a], *cultures[b]))
        twins_of_kind[kinds[place]] += 1
    return reasons


def _share(a: set[str], b: set[str]) -> float:
    return len(a & b) / max(1, len(a | b))
