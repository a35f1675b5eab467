"""CUNIT's matching task (arXiv 2408.05102) as a language model is asked it: which of two things is culturally closer?

A model sees a thing and two others, A and B, and writes "A > B" or "A < B". It is asked in both orders, because a model
may prefer a place. The text tower of an image-text model does the same task by cosine, on the same triplets.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from cultureclip.statistics import ClusteredItems, Estimate

Shown = Literal["names", "features"]
"""What is shown of a thing: its name alone, or also what is known of it."""

BANDS = ("small", "middle", "large")
MATCH_COLUMNS = ("triplet", "shown", "query", "closer", "farther", "gap", "band", "asked", "read", "first", "credit")
_ANSWER = re.compile(r"\s*A\s*(?P<sign>[<>])\s*B\s*\.?\s*")
_SIGNS = str.maketrans({"＞": ">", "＜": "<", "›": ">", "‹": "<"})


@dataclass(frozen=True)
class Thing:
    """A thing and what is known of it.

    Attributes:
        name: Its name.
        culture: The country that it is of; may be empty.
        features: Who uses it, on what occasion and what it stands for, as a text; may be empty.
    """

    name: str
    culture: str
    features: str

    def show(self, shown: Shown) -> str:
        """Write it for a question."""
        return self.name if shown == "names" or not self.features else f"{self.name} ({self.features})"


@dataclass(frozen=True)
class Triplet:
    """A thing and two candidates, of which the first is closer to it by what experts noted.

    Attributes:
        query: The thing.
        closer: The candidate that is closer to it.
        farther: The other.
        gap: Similarity of the closer one less that of the other, above 0.
    """

    query: Thing
    closer: Thing
    farther: Thing
    gap: float


def parse_order(text: str) -> Literal["A", "B"] | None:
    """Read an answer that is "A > B" or "A < B" and nothing else; None if it is anything else."""
    found = _ANSWER.fullmatch(text.translate(_SIGNS))
    if found is None:
        return None
    return "A" if found["sign"] == ">" else "B"


def band_of(gap: float, bands: tuple[float, float]) -> str:
    """Name the band of a gap: small below the first limit, large from the second on."""
    return BANDS[int(gap >= bands[0]) + int(gap >= bands[1])]


def score_triplets(triplets: Sequence[Triplet], bands: tuple[float, float], answers: pd.DataFrame) -> pd.DataFrame:
    """Give each triplet its credit: the share of its answers, in either order, that are right.

    Args:
        triplets: The triplets.
        bands: Where the middle band of gaps begins, and where the large one does.
        answers: ``triplet`` (its number), ``shown``, ``closer_first`` and ``answer`` (A, B or null).

    Returns:
        A row per triplet and way of showing it: ``triplet``, ``shown``, ``query``, ``closer``, ``farther``, ``gap``,
        ``band``, ``asked``, ``read``, ``first`` (answers for the first place) and ``credit``, null where none was read.
    """
    rows = []
    for _, given in answers.groupby(["triplet", "shown"], sort=True):
        number, shown = int(given["triplet"].iloc[0]), given["shown"].iloc[0]
        triplet, read = triplets[number], given[given["answer"].notna()]
        right = read["answer"].eq("A") == read["closer_first"]
        rows.append(
            {
                "triplet": number,
                "shown": shown,
                "query": triplet.query.name,
                "closer": triplet.closer.name,
                "farther": triplet.farther.name,
                "gap": triplet.gap,
                "band": band_of(triplet.gap, bands),
                "asked": len(given),
                "read": len(read),
                "first": int(read["answer"].eq("A").sum()),
                "credit": float(right.mean()) if len(read) else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=list(MATCH_COLUMNS))


def estimate_accuracy(credits: pd.Series, queries: pd.Series) -> Estimate | None:
    """Return the mean credit with its interval over queries; None where no triplet has a credit."""
    known = credits.notna()
    if not known.any():
        return None
    return ClusteredItems(queries[known].to_numpy()).estimate_mean(credits[known].to_numpy(float))


def credit_by_cosine(query: np.ndarray, closer: np.ndarray, farther: np.ndarray) -> np.ndarray:
    """Return 1 where the closer candidate's vector is nearer, 0 where the other's is, 0.5 where neither is, [N].

    Args:
        query: Normalised vectors, [N, D].
        closer: [N, D].
        farther: [N, D].
    """
    return np.asarray(0.5 + 0.5 * np.sign((query * closer).sum(1) - (query * farther).sum(1)))
