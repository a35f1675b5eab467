"""Kinds of concepts: universals that a setting names, each a kind of its own, and all others together."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from cultureclip.concepts.settings import OTHER_KIND


def find_kinds(universals: pd.Series, kinds: Collection[str]) -> np.ndarray:
    """Return the kind of each concept, object [N].

    Args:
        universals: Of each concept, N.
        kinds: Universals that are kinds of their own; every other one is of :data:`OTHER_KIND`.
    """
    return universals.where(universals.isin(list(kinds)), OTHER_KIND).to_numpy(dtype=object)
