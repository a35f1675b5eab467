"""Twins: two concepts that look alike and belong to different cultures, matched on both axes.

    score = cos(look_a, look_b) - w * max(0, cos(context_a, context_b))

The look is the judge's embedding of the reference picture, the context the sentence encoder's; sharing a culture rules
a pair out. Twins are accepted greedily by score, each concept in a few at most.
"""

from collections import Counter, defaultdict
from collections.abc import Collection

import numpy as np
import pandas as pd

from cultureclip.concepts.assignment import FLAG, OBJECT, check_pairs, choose_pairs
from cultureclip.concepts.chance import count_below, random_cosines
from cultureclip.concepts.evidence import list_evidence
from cultureclip.concepts.neighbours import check_vectors, culture_matrix, nearest_of_other_cultures, pair_cosines
from cultureclip.concepts.settings import TwinSettings
from cultureclip.errors import SourceDataError
from cultureclip.graphs import connect
from cultureclip.ids import digest, hash_fraction, twin_id
from cultureclip.tables import EVAL_ONLY

_DECIMALS = 6


def match_twins(
    concepts: pd.DataFrame,
    looks: np.ndarray,
    contexts: np.ndarray,
    stands_for: list[str],
    settings: TwinSettings,
    proposed: Collection[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Find, score, choose and split twins.

    Args:
        concepts: Rows of the concepts table that have a picture, N. Those whose terms are ``eval_only`` are matched
            like all others, but are never part of a twin, because pictures of twins are made and trained on.
        looks: L2-normalised embeddings of their pictures, float32 [N, D].
        contexts: L2-normalised embeddings of their contexts, float32 [N, E].
        stands_for: For each row the concept that is used of all drawn like it (itself, or another).
        settings: ``context_weight`` is w of the score; a twin's kind is ``flag`` (the universal) or ``object``
            (everything else).
        proposed: Pairs of concept ids that a language model names as twins: considered beside those that look alike.

    Returns:
        A table that fits :data:`cultureclip.tables.TWINS`: accepted pairs, best first, and every other pair that was
        considered with the reason why it is not a twin.

    Raises:
        SourceDataError: if no two concepts of one category and kind have different cultures, or an embedding is not
            finite or not of length 1.
    """
    names = list(concepts["name"])
    check_vectors(looks, names, "looks")
    check_vectors(contexts, names, "contexts")
    order = np.argsort(concepts["concept_id"].to_numpy(), kind="stable")  # the outcome must not depend on row order
    concepts = concepts.iloc[order].reset_index(drop=True)
    looks, contexts = looks[order], contexts[order]
    used = concepts["concept_id"].to_numpy() == np.asarray(stands_for, dtype=object)[order]
    held_out = (concepts["terms"] == EVAL_ONLY).to_numpy()
    kinds = np.where(concepts["universal"] == FLAG, FLAG, OBJECT)
    groups = (kinds + "/" + concepts["category"]).to_numpy()

    pairs = add_proposed(find_pairs(concepts, looks, groups, settings), concepts, groups, proposed)
    if pairs.empty:
        cause = f"among {len(concepts)} concepts with a picture no two of one category share no culture"
        raise SourceDataError("table of concepts", cause, "Add concepts of other cultures")
    a, b = pairs["a"].to_numpy(), pairs["b"].to_numpy()
    pairs["visual_similarity"] = pair_cosines(looks, a, b)
    pairs["chance"] = count_below(
        pairs["visual_similarity"].to_numpy(), groups[a], random_cosines(concepts, looks, groups)
    )
    pairs["cultural_overlap"] = pair_cosines(contexts, a, b).clip(0, 1)
    pairs["score"] = (pairs["visual_similarity"] - settings.context_weight * pairs["cultural_overlap"]).round(_DECIMALS)
    pairs["kind"] = kinds[a]
    ids = concepts["concept_id"].to_numpy()
    pairs["a_concept_id"], pairs["b_concept_id"] = ids[a], ids[b]
    pairs["a_name"], pairs["b_name"] = (concepts["name"].to_numpy()[end] for end in (a, b))
    pairs["twin_id"] = [twin_id(x, y) for x, y in zip(ids[a], ids[b], strict=True)]
    pairs = pairs.sort_values(["score", "twin_id"], ascending=[False, True], ignore_index=True)

    refused = check_pairs(pairs, concepts, used, held_out, settings)
    pairs["reason"] = choose_pairs(pairs, refused, concepts["cultures"].tolist(), settings)
    accepted = pairs["reason"].isna()
    pairs["verdict"] = np.where(accepted, "accepted", "rejected")
    pairs["split"] = pd.Series(None, index=pairs.index, dtype=object)
    for kind in (FLAG, OBJECT):
        of_kind = accepted & (pairs["kind"] == kind)
        pairs.loc[of_kind, "split"] = split_twins(pairs[of_kind], settings.dev_share)
    pairs["category"] = concepts["category"].to_numpy()[pairs["a"]]
    pairs["evidence"] = list_evidence(pairs, concepts, looks, groups, settings.rejected_shown)
    pairs = pairs.sort_values("verdict", kind="stable", ignore_index=True)
    return pairs.drop(columns=["a", "b", "kind", "chance"])


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
        Columns a < b, row numbers, and method; each pair once.
    """
    row_of = {concept: row for row, concept in enumerate(concepts["concept_id"])}
    cultures = [set(codes) for codes in concepts["cultures"]]
    ends = sorted({tuple(sorted((row_of[x], row_of[y]))) for x, y in proposed if x in row_of and y in row_of})
    named = [(a, b) for a, b in ends if groups[a] == groups[b] and cultures[a].isdisjoint(cultures[b])]
    by_model = pd.DataFrame(named, columns=["a", "b"], dtype=np.int64).assign(method="llm")
    found = pd.concat([pairs.assign(method="two_axis"), by_model], ignore_index=True)
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
    components = [component_of[concept] for concept in twins["a_concept_id"]]
    sizes = Counter(components)
    members: dict[str, list[str]] = defaultdict(list)
    for concept in sorted(component_of):
        members[component_of[concept]].append(concept)
    lacking = int(np.ceil(dev_share * len(twins))) if len(members) > 1 else 0
    dev = set()
    for component in sorted(members, key=lambda m: hash_fraction(digest(*members[m]), "twin-split")):
        if sizes[component] <= lacking:
            dev.add(component)
            lacking -= sizes[component]
    return ["dev" if component in dev else "train" for component in components]
