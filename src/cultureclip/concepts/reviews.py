"""What people have said about pairs, as the search for twins reads it."""

import numpy as np
import pandas as pd

ACCEPTED, REJECTED = "accepted", "rejected"


def settle(reviews: pd.DataFrame) -> pd.DataFrame:
    """Return what most reviewers of each pair say; pairs on which as many say one thing as the other are absent.

    Args:
        reviews: A table that fits :data:`cultureclip.tables.TWIN_REVIEWS`; comments without a decision do not count.

    Returns:
        twin_id, a_concept_id, b_concept_id and review (``accepted`` or ``rejected``), by twin_id.
    """
    votes = reviews[reviews["decision"].notna()]
    votes = votes.assign(vote=np.where(votes["decision"] == ACCEPTED, 1, -1))
    pair = ["twin_id", "a_concept_id", "b_concept_id"]
    said = votes.groupby(pair, as_index=False)["vote"].sum()
    said = said[said["vote"] != 0].reset_index(drop=True)
    settled: pd.DataFrame = said[pair].assign(review=np.where(said["vote"] > 0, ACCEPTED, REJECTED))
    return settled


def review_pairs(pairs: pd.DataFrame, ids: np.ndarray, settled: pd.DataFrame) -> np.ndarray:
    """Return what people say about each pair, or None; object [P].

    Args:
        pairs: Columns a < b, row numbers of concepts.
        ids: Ids of the concepts, sorted, [N].
        settled: From :func:`settle`.
    """
    if settled.empty:  # as in most runs: a merge with nothing copies tens of millions of pairs
        return np.full(len(pairs), None, dtype=object)
    ends = np.sort(settled[["a_concept_id", "b_concept_id"]].to_numpy(dtype=object), axis=1)
    here = np.isin(ends, ids).all(axis=1)
    places = np.searchsorted(ids, ends[here])
    known = pd.DataFrame({"a": places[:, 0], "b": places[:, 1], "review": settled["review"].to_numpy()[here]})
    found = pairs[["a", "b"]].merge(known, "left", ["a", "b"])["review"]
    said: np.ndarray = found.astype(object).where(found.notna(), None).to_numpy()
    return said
