"""Claims that say the same: one is kept.

CulturePark (arXiv 2405.15145) clusters sentence embeddings by k-means (k-means++, seed 42, at most 10 clusters) and
keeps the longest text of each cluster.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from sklearn.cluster import KMeans

from cultureclip.captions.claims.claim import Claim, Reason

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> L2-normalised vectors [N, D]."""
_SEED = 42


def drop_repeats(claims: Sequence[Claim], most: int, embed: Embed) -> list[Claim]:
    """Keep at most ``most`` claims of each concept.

    Args:
        claims: Claims; those that are dropped already stay as they are.
        most: Number of clusters. A concept with fewer claims loses only those in the same words, whatever their case,
            spaces and full stop.
        embed: The sentence encoder.

    Returns:
        The claims in the same order; a dropped one names the claim that is kept in its place.
    """
    of_concept: dict[str, list[int]] = defaultdict(list)
    for place, claim in enumerate(claims):
        if claim.reason is None:
            of_concept[claim.concept_id].append(place)
    result = list(claims)

    def drop(places: Sequence[int], reason: Reason) -> int:
        """Keep the longest claim, the first of several; return its place."""
        kept = max(places, key=lambda place: len(str(claims[place].text)))
        for place in places:
            if place != kept:
                result[place] = replace(claims[place], same_as=claims[kept].claim_id, reason=reason)
        return kept

    for places in of_concept.values():
        distinct = [drop(same, Reason.SAME_WORDS) for same in _group(places, [_bare(claims[p].text) for p in places])]
        if len(distinct) > most:
            vectors = embed([str(claims[place].text) for place in distinct])
            clusters = KMeans(most, init="k-means++", n_init=10, random_state=_SEED).fit_predict(vectors)
            for same in _group(distinct, clusters.tolist()):
                drop(same, Reason.SAME_CLUSTER)
    return result


def _group(places: Sequence[int], keys: Sequence[object]) -> list[list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for place, key in zip(places, keys, strict=True):
        groups[key].append(place)
    return list(groups.values())


def _bare(text: str | None) -> str:
    return " ".join(str(text).casefold().split()).rstrip(".")
