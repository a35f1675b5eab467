"""Which model a score is about: its objective, its seed and the scale of its update.

Tables have these three as columns beside ``model``, the same as text. Text is read back only where a name comes from
outside: a dataset of the catalog, a file of exported results.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from cultureclip.errors import SourceDataError

if TYPE_CHECKING:  # wiring pipelines needs only the names
    import pandas as pd

BASE = "base"
"""Name of the model that was tuned."""

COLUMNS = ("objective", "seed", "scale")
_TEXT = re.compile(r"(?P<objective>.+?)(_s(?P<seed>\d{1,18}))?(@(?P<scale>[01]\.\d+))?")


@dataclass(frozen=True)
class ModelName:
    """Identity of a model.

    Attributes:
        objective: Objective of the training; for the base and for models from elsewhere their name.
        seed: Seed of the training; None for the mean over seeds, the base and models from elsewhere.
        scale: Share of the update that is applied (WiSE-FT, Wortsman et al. 2022), two decimals; 1 is all of it.
    """

    objective: str
    seed: int | None = None
    scale: float = 1.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text that :meth:`__str__` writes; any other text is the name of a model from elsewhere."""
        match = _TEXT.fullmatch(text)
        if match is None:
            return cls(text)
        seed, scale = match["seed"], match["scale"]
        return cls(match["objective"], None if seed is None else int(seed), 1.0 if scale is None else float(scale))

    def __str__(self) -> str:
        """Return ``<objective>_s<seed>@<scale>``, without the parts that do not apply."""
        seed = "" if self.seed is None else f"_s{self.seed}"
        return f"{self.objective}{seed}" + ("" if self.scale == 1 else f"@{self.scale:.2f}")

    @property
    def mean(self) -> Self:
        """The mean over seeds that it is part of."""
        return replace(self, seed=None)

    @property
    def is_whole_mean(self) -> bool:
        """Whether it is the base, a mean over seeds or a model from elsewhere, each with all of its update."""
        return self.seed is None and self.scale == 1


def label_rows(table: "pd.DataFrame", names: Iterable[ModelName]) -> "pd.DataFrame":
    """Add the columns ``objective``, ``seed`` and ``scale`` to a table with a column ``model``.

    Args:
        table: Rows about models.
        names: All models that it is about.
    """
    by_text = {str(name): name for name in names}
    labels = {column: table["model"].map({t: getattr(n, column) for t, n in by_text.items()}) for column in COLUMNS}
    return table.assign(**labels).astype({"seed": "Int64", "scale": float})


def read_names(table: "pd.DataFrame") -> list[ModelName]:
    """List the models that a table is about, in the order of their text.

    Raises:
        SourceDataError: if the table lacks the columns, which an earlier version did not write.
    """
    if missing := [column for column in COLUMNS if column not in table.columns]:
        raise SourceDataError(
            "predictions or scores",
            f"no column {', '.join(missing)}: an earlier version made this table",
            "Make it again (kept embeddings are used): kedro run --pipelines=evaluation",
        )
    rows = table[list(COLUMNS)].drop_duplicates().astype({"seed": "Int64"})
    seeds = rows["seed"].astype(object).where(rows["seed"].notna(), None)
    names = map(ModelName, rows["objective"], seeds, rows["scale"])
    return sorted(names, key=str)
