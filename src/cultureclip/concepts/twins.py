"""Twins: two concepts that look alike and belong to different cultures, matched on both axes.

    score = cos(look_a, look_b) - w * max(0, cos(context_a, context_b))

The look is the judge's embedding of the reference picture, the context the sentence encoder's; sharing a culture rules
a pair out. Twins are accepted greedily by score, each concept in a few at most.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from cultureclip.concepts.assignment import check_pairs, choose_pairs
from cultureclip.concepts.chance import count_below, random_cosines
from cultureclip.concepts.evidence import list_evidence, list_rejected
from cultureclip.concepts.kinds import find_kinds
from cultureclip.concepts.matching import Matching
from cultureclip.concepts.neighbours import check_vectors, culture_matrix, nearest_of_other_cultures, pair_cosines
from cultureclip.concepts.reviews import review_pairs
from cultureclip.concepts.selection import Worth, measure_coverage
from cultureclip.concepts.settings import TwinSettings
from cultureclip.errors import SourceDataError
from cultureclip.graphs import connect
from cultureclip.ids import digest, hash_fraction, twin_id
from cultureclip.tables import EVAL_ONLY

_DECIMALS = 6


class _Sorted(NamedTuple):
    """Concepts and their vectors in the order of their ids: the outcome must not depend on the order of rows."""

    concepts: pd.DataFrame
    looks: np.ndarray
    contexts: np.ndarray
    used: np.ndarray
    kinds: np.ndarray
    groups: np.ndarray


def match_twins(
    concepts: pd.DataFrame,
    looks: np.ndarray,
    contexts: np.ndarray,
    universals: Mapping[str, np.ndarray],
    stands_for: list[str],
    reviews: pd.DataFrame,
    settings: TwinSettings,
    proposed: Collection[tuple[str, str]] = (),
    excluded: Collection[str] = (),
) -> Matching:
    """Find, score, choose and split twins.

    Args:
        concepts: Rows of the concepts table that have a picture, N. Those whose terms are ``eval_only`` are matched
            like all others, but are never part of a twin, because pictures of twins are made and trained on.
        looks: L2-normalised embeddings of their pictures, float32 [N, D].
        contexts: L2-normalised embeddings of their contexts, float32 [N, E].
        universals: Universal -> L2-normalised embedding of the word, float32 [E].
        stands_for: For each row the concept that is used of all drawn like it (itself, or another).
        reviews: What people say about pairs, from :func:`~cultureclip.concepts.reviews.settle`: a pair that they reject
            is no twin; one that they accept is chosen before others, and no bound on a measure refuses it.
        settings: ``context_weight`` is w of the score.
        proposed: Pairs of concept ids that a language model names as twins: considered beside those that look alike.
        excluded: Ids of concepts that people took out: they are matched, and are never part of a twin.

    Raises:
        SourceDataError: if no two concepts of one category and kind have different cultures, or an embedding is not
            finite or not of length 1.
    """
    names = list(concepts["name"])
    check_vectors(looks, names, "looks")
    check_vectors(contexts, names, "contexts")
    data = _sort(concepts, looks, contexts, stands_for, settings)
    found = find_pairs(data.concepts, data.looks, data.groups, settings)
    pairs = add_proposed(found, data.concepts, data.groups, proposed)
    if pairs.empty:
        cause = f"among {len(concepts)} concepts with a picture no two of one category share no culture"
        raise SourceDataError("table of concepts", cause, "Add concepts of other cultures")
    pairs = _score(pairs, data, settings)
    pairs["kind_similarity"] = _compare_universals(pairs, data.concepts["universal"], universals)
    pairs["review"] = review_pairs(pairs, data.concepts["concept_id"].to_numpy(), reviews)
    cultures = culture_matrix(list(data.concepts["cultures"]))
    held_out = (data.concepts["terms"] == EVAL_ONLY).to_numpy()
    refused = check_pairs(pairs, data.concepts, data.used, held_out, settings, excluded)
    worth = Worth(pairs, data.contexts, cultures, settings)
    pairs["reason"] = choose_pairs(pairs, refused, data.concepts["cultures"].tolist(), worth, settings)
    allowed = data.used & ~held_out & ~data.concepts["concept_id"].isin(list(excluded)).to_numpy()
    steps = {
        "distinct": data.used,
        "allowed": allowed,
        "considered": allowed & _are_in(pairs, np.ones(len(pairs), bool), len(concepts)),
        "passed": _are_in(pairs, pd.isna(refused), len(concepts)),
        "in_twins": _are_in(pairs, pairs["reason"].isna().to_numpy(), len(concepts)),
    }
    return Matching(
        _describe(pairs, data, settings),
        considered=len(pairs),
        reviewed=int(pairs["review"].notna().sum()),
        refused={str(reason): int(count) for reason, count in pairs["reason"].value_counts().items()},
        steps=pd.DataFrame({"concept_id": data.concepts["concept_id"], **steps}),
        coverage=_measure_coverage(data, steps["in_twins"]),
    )


def _sort(
    concepts: pd.DataFrame, looks: np.ndarray, contexts: np.ndarray, stands_for: list[str], settings: TwinSettings
) -> _Sorted:
    order = np.argsort(concepts["concept_id"].to_numpy(), kind="stable")
    concepts = concepts.iloc[order].reset_index(drop=True)
    used = concepts["concept_id"].to_numpy() == np.asarray(stands_for, dtype=object)[order]
    kinds = find_kinds(concepts["universal"], settings.max_twins_per_kind)
    groups = (kinds + "/" + concepts["category"]).to_numpy()
    return _Sorted(concepts, looks[order], contexts[order], used, kinds, groups)


def _score(pairs: pd.DataFrame, data: _Sorted, settings: TwinSettings) -> pd.DataFrame:
    """Add closeness on both axes, score, kind and category; the best pair comes first."""
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    look, context = pair_cosines(data.looks, a, b), pair_cosines(data.contexts, a, b).clip(0, 1)
    scored = pairs.assign(
        visual_similarity=look,
        chance=count_below(look, data.groups[a], random_cosines(data.concepts, data.looks, data.groups)),
        cultural_overlap=context,
        score=(look - settings.context_weight * context).round(_DECIMALS),
        kind=data.kinds[a],
        category=data.concepts["category"].to_numpy()[a],
    )
    return scored.sort_values(["score", "a", "b"], ascending=[False, True, True], ignore_index=True)


def _compare_universals(pairs: pd.DataFrame, universal: pd.Series, embeddings: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the cosine of the two universals of each pair, float32 [P]."""
    codes, words = pd.factorize(universal)
    vectors = np.stack([embeddings[word] for word in words])
    return pair_cosines(vectors, codes[pairs["a"]], codes[pairs["b"]])


def _describe(pairs: pd.DataFrame, data: _Sorted, settings: TwinSettings) -> pd.DataFrame:
    """Return the table of twins: what is accepted and the nearest of what is not, with ids, evidence and split."""
    rejected = list_rejected(pairs, data.concepts, data.looks, data.groups, settings.rejected_shown)
    nearest = _list_nearest(pairs, settings.rejected_kept)
    always = np.flatnonzero(pairs["reason"].isna() | pairs["named"])
    pairs = pairs.iloc[np.union1d(always, nearest)].reset_index(drop=True)
    ids, names = (data.concepts[column].to_numpy() for column in ("concept_id", "name"))
    for side in ("a", "b"):
        pairs[f"{side}_concept_id"], pairs[f"{side}_name"] = ids[pairs[side]], names[pairs[side]]
    pairs["twin_id"] = [twin_id(*ends) for ends in zip(pairs["a_concept_id"], pairs["b_concept_id"], strict=True)]
    pairs["verdict"] = np.where(pairs["reason"].isna(), "accepted", "rejected")
    pairs["split"] = pd.Series(None, index=pairs.index, dtype=object)
    for kind in settings.max_twins_per_kind:
        of_kind = pairs["reason"].isna() & (pairs["kind"] == kind)
        pairs.loc[of_kind, "split"] = split_twins(pairs[of_kind], settings.dev_share)
    pairs["evidence"] = list_evidence(pairs, data.concepts, rejected)
    pairs = pairs.sort_values("verdict", kind="stable", ignore_index=True)
    return pairs.drop(columns=["a", "b", "kind", "chance", "kind_similarity", "named"])


def _list_nearest(pairs: pd.DataFrame, most: int) -> np.ndarray:
    """Return the places of the most alike pairs that are refused for each reason; of equal ones the first."""
    similarity = pairs["visual_similarity"].to_numpy()
    codes, reasons = pd.factorize(pairs["reason"])
    found: list[np.ndarray] = [np.zeros(0, np.int64)]
    for code in range(len(reasons)):
        places = np.flatnonzero(codes == code)
        found.append(places[np.argsort(-similarity[places], kind="stable")[:most]])
    return np.concatenate(found)


def _are_in(pairs: pd.DataFrame, chosen: np.ndarray, count: int) -> np.ndarray:
    """Return which concepts are in any of the chosen pairs, bool [count]."""
    found = np.zeros(count, bool)
    found[pairs.loc[chosen, ["a", "b"]].to_numpy().ravel()] = True
    return found


def _measure_coverage(data: _Sorted, in_twins: np.ndarray) -> dict[str, float]:
    cultures = list(data.concepts["cultures"])
    coverage = measure_coverage(data.contexts, culture_matrix(cultures), in_twins)
    codes = sorted({code for row in cultures for code in row})  # the columns of the matrix
    return dict(zip(codes, coverage.tolist(), strict=True))


def find_pairs(concepts: pd.DataFrame, looks: np.ndarray, groups: np.ndarray, settings: TwinSettings) -> pd.DataFrame:
    """Return look-alikes of other cultures within each group, each pair once: either is among the other's nearest.

    Args:
        concepts: Rows with ``cultures``, N.
        looks: float32 [N, D].
        groups: Only rows of one group are compared, [N].
        settings: Nearest ones taken for each row, and the search for them.

    Returns:
        Columns a < b, row numbers.
    """
    found = []
    for group in sorted(set(groups)):
        rows = np.flatnonzero(groups == group)
        cultures = culture_matrix(list(concepts["cultures"].iloc[rows]))
        neighbours = nearest_of_other_cultures(looks[rows], cultures, settings.neighbours, settings.search)
        left, column = np.nonzero(neighbours.places >= 0)
        right = neighbours.places[left, column]
        # Both ends as one number: a million concepts have tens of millions of pairs.
        keys = np.unique(np.minimum(left, right) * len(rows) + np.maximum(left, right))
        found.append(pd.DataFrame({"a": rows[keys // len(rows)], "b": rows[keys % len(rows)]}))
    return pd.concat(found, ignore_index=True)


def add_proposed(
    pairs: pd.DataFrame, concepts: pd.DataFrame, groups: np.ndarray, proposed: Collection[tuple[str, str]]
) -> pd.DataFrame:
    """Add the pairs that a language model names, if both are here, of one group and of different cultures.

    Args:
        pairs: From :func:`find_pairs`.
        concepts: Rows with ``concept_id`` and ``cultures``, N.
        groups: Only rows of one group are compared, [N].
        proposed: Pairs of concept ids.

    Returns:
        Columns a < b, row numbers, method, and named, whether the model named the pair; each pair once.
    """
    if not proposed:
        return pairs.assign(method="two_axis", named=False)
    row_of = {concept: row for row, concept in enumerate(concepts["concept_id"])}
    cultures = [set(codes) for codes in concepts["cultures"]]
    ends = sorted({tuple(sorted((row_of[x], row_of[y]))) for x, y in proposed if x in row_of and y in row_of})
    named = [(a, b) for a, b in ends if groups[a] == groups[b] and cultures[a].isdisjoint(cultures[b])]
    by_model = pd.DataFrame(named, columns=["a", "b"], dtype=np.int64).assign(method="llm")
    found = pd.concat([pairs.assign(method="two_axis"), by_model], ignore_index=True)
    found["named"] = found.duplicated(["a", "b"], keep=False) | (found["method"] == "llm")
    return found.drop_duplicates(["a", "b"], ignore_index=True)


def split_twins(twins: pd.DataFrame, dev_share: float) -> list[str]:
    """Split twins into train and dev, with each concept on one side only.

    Connected components of the twin graph are taken in the order of a hash; one goes to dev if it is not larger than
    what dev still lacks. With a single component all is train.

    Args:
        twins: Rows with ``a_concept_id`` and ``b_concept_id``.
        dev_share: Share of the twins that dev gets, rounded up; it gets fewer where components do not fit.
    """
    if twins.empty:
        return []
    component_of = connect(zip(twins["a_concept_id"], twins["b_concept_id"], strict=True))
    return split_components(component_of, [component_of[concept] for concept in twins["a_concept_id"]], dev_share)


def split_components(component_of: Mapping[str, str], components: Sequence[str], dev_share: float) -> list[str]:
    """Split items into train and dev by their components, as :func:`split_twins` does.

    Args:
        component_of: Node -> component; the nodes decide a component's place in the order.
        components: Component of each item.
        dev_share: Share of the items that dev gets at most, rounded up.
    """
    sizes = Counter(components)
    members: dict[str, list[str]] = defaultdict(list)
    for node in sorted(component_of):
        members[component_of[node]].append(node)
    lacking = int(np.ceil(dev_share * len(components))) if len(members) > 1 else 0
    dev = set()
    for component in sorted(members, key=lambda m: hash_fraction(digest(*members[m]), "twin-split")):
        if sizes[component] <= lacking:
            dev.add(component)
            lacking -= sizes[component]
    return ["dev" if component in dev else "train" for component in components]
