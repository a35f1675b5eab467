"""What mining found in a finished run: where given pairs rank, the best twins, and the yield of each culture.

For every pair: the cosine of its looks, its rank among all pairs of its group (flags, or a category of other things)
whose sides share no culture, at which rank each side has the other among its look-alikes, and what became of it.
Without ``--pairs``, flags that people confuse.

    python bench/list_twins.py [--data data] [--best 50] [--pairs "flag: Chad/flag: Romania" ...]

Reads the newest version of each table and nothing else; prints Markdown.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

FLAGS = {
    "Chad": ("Romania",),
    "Indonesia": ("Monaco", "Poland"),
    "Monaco": ("Poland",),
    "Ireland": ("Côte d’Ivoire",),
    "Mali": ("Guinea",),
    "Senegal": ("Mali",),
    "Netherlands": ("Luxembourg",),
    "Slovenia": ("Slovakia",),
}
"""Flags that look alike; of Chad and Romania, Indonesia and Monaco even the drawings are nearly equal."""


def read(data: Path, name: str) -> pd.DataFrame:
    """Read the newest version of a table."""
    return pd.read_parquet(max((data / name).glob("*/*.parquet")))


def find_named(names: pd.Series, wanted: str) -> int:
    """Return the row of the concept that has a name, or that is the flag with a name."""
    rows = np.flatnonzero(names.isin([wanted, f"flag: {wanted}", f"flag of {wanted}"]))
    if len(rows) != 1:
        raise SystemExit(f"{len(rows)} concepts with a picture are called {wanted!r}")
    return int(rows[0])


def rank_pairs(concepts: pd.DataFrame, twins: pd.DataFrame, wanted: list[tuple[str, str]]) -> pd.DataFrame:
    """Return one row per pair: cosine, ranks and outcome."""
    looks = np.stack(concepts["embedding"].to_list())
    groups = np.where(concepts["universal"] == "flag", "flag", concepts["category"])
    homes = concepts["cultures"].map(set).to_list()
    told = twins.set_index(twins[["a_concept_id", "b_concept_id"]].apply(frozenset, axis=1))
    ranked = []
    for first, second in wanted:
        a, b = (find_named(concepts["name"], name) for name in (first, second))
        here = np.flatnonzero(groups == groups[a])
        foreign = np.array([[homes[x].isdisjoint(homes[y]) for y in here] for x in here])
        cosines = np.where(foreign, (looks[here] @ looks[here].T).round(6), -np.inf)
        x, y = np.searchsorted(here, [a, b])
        upper = np.triu_indices(len(here), 1)
        others = cosines[upper][np.isfinite(cosines[upper])]
        row = {"pair": f"{first}, {second}", "cosine": round(float(cosines[x, y]), 4)}
        row["rank"] = f"{(others > cosines[x, y]).sum() + 1} of {len(others):,}"
        row["of the first"], row["of the second"] = ((cosines[end] > cosines[x, y]).sum() + 1 for end in (x, y))
        key = frozenset(concepts["concept_id"].iloc[[a, b]])
        found = told.loc[[key]].iloc[0] if key in told.index else None
        if found is None:
            row["outcome"] = "not in the table"
        else:
            row["outcome"] = f"twin, {found['split']}" if found["verdict"] == "accepted" else found["reason"]
        ranked.append(row)
    return pd.DataFrame(ranked)


def list_best(twins: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the twins with the best scores."""
    best = twins[twins["verdict"] == "accepted"].sort_values("score", ascending=False, kind="stable").head(most)
    columns = ["a_name", "b_name", "category", "visual_similarity", "cultural_overlap", "score", "split"]
    return best[columns].round(3)


def to_markdown(table: pd.DataFrame) -> str:
    rows = [[str(cell) for cell in row] for row in table.itertuples(index=False)]
    lines = [list(table.columns), ["---"] * len(table.columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--best", type=int, default=50)
    parser.add_argument("--pairs", nargs="+", help="two names of concepts with a slash between them")
    given = parser.parse_args()
    primary = given.data / "03_primary"
    twins = read(primary, "twins.parquet")
    concepts = read(primary, "looks.parquet").merge(read(primary, "concepts.parquet"), on="concept_id")
    wanted = [tuple(pair.split("/", 1)) for pair in given.pairs or ()]
    wanted = wanted or [(first, other) for first, others in FLAGS.items() for other in others]
    print(to_markdown(rank_pairs(concepts, twins, wanted)), end="\n\n")
    print(to_markdown(list_best(twins, given.best)), end="\n\n")
    print(to_markdown(read(given.data / "08_reporting", "culture_yields.parquet").round(3)), end="\n\n")
    accepted = twins["verdict"] == "accepted"
    flags = set(concepts.loc[concepts["universal"] == "flag", "concept_id"])
    of_flags = twins.loc[accepted, "a_concept_id"].isin(flags)
    print(json.dumps({"twins": int(accepted.sum()), "of_flags": int(of_flags.sum()), "pairs_kept": len(twins)}))


if __name__ == "__main__":
    main()
