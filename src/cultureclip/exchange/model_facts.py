"""Facts of a model card, gathered from the tables of a run."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cultureclip.clip.contracts import AdapterCard
from cultureclip.errors import MissingInputError, SourceDataError
from cultureclip.exchange.card import count_cultures, count_sources
from cultureclip.exchange.facts import AbilityLine, DataFacts, ScoreLine
from cultureclip.models.weights.locate import HUB_SCHEME, PACKAGE_SCHEME
from cultureclip.tables import SIDES

EVALUATE = "Evaluate this model: kedro run --pipelines=evaluation"
ABILITIES = {
    "culture": "Culture",
    "general": "General ability",
    "general_first": "General ability, best candidate alone",
}
"""Column of the abilities table -> name for readers."""


def published_base(card: AdapterCard) -> str:
    """Name the base for others: a hub's address, a package's path, or the last part of a path, never a home folder."""
    if card.base.startswith(HUB_SCHEME):
        return card.base.removeprefix(HUB_SCHEME).partition("@")[0]
    if card.base.startswith(PACKAGE_SCHEME):
        return card.base
    return card.base.replace("\\", "/").rstrip("/").rpartition("/")[2]


def describe_data(cultwin: pd.DataFrame, concepts: pd.DataFrame, makers: Mapping[str, str]) -> DataFacts:
    """Count the training rows.

    Args:
        cultwin: Table CULTWIN.
        concepts: Table CONCEPTS.
        makers: Role in the run -> model.

    Raises:
        MissingInputError: if a row names a concept that is not in the table.
    """
    known = concepts.set_index("concept_id")
    used = {concept for side in SIDES for concept in cultwin[f"{side}_concept_id"]}
    if unknown := sorted(used.difference(known.index)):
        cause = f"{unknown[0]} and {len(unknown) - 1} more concepts of cultwin are not in it"
        raise MissingInputError("concepts", cause, "Run the stages from mining on: kedro run")
    cultures = known["cultures"].map(" ".join)
    rows = cultwin.assign(**{f"{side}_cultures": cultwin[f"{side}_concept_id"].map(cultures) for side in SIDES})
    return DataFacts(
        rows={str(split): int(n) for split, n in cultwin["split"].value_counts().sort_index(ascending=False).items()},
        twins=int(cultwin["twin_id"].nunique()),
        licences=[(str(name), int(n)) for name, n in cultwin["licence"].value_counts().sort_index().items()],
        sources=count_sources(known.loc[sorted(used)]),
        cultures=count_cultures(rows),
        makers=makers,
    )


def read_scores(
    scores: pd.DataFrame, cards: Sequence[Mapping[str, Any]], *, model: str, mean: str, base: str
) -> list[ScoreLine]:
    """Return a model's scores on the test part, in the order of the benchmarks' cards.

    Args:
        scores: Table SCORES.
        cards: The benchmarks' cards.
        model: The model's name in the table.
        mean: Name of the mean over seeds that it is part of.
        base: Name of the base.

    Raises:
        SourceDataError: if the model was not evaluated, or not on all that the base was.
    """
    test = scores[scores["part"] == "test"]
    if model not in set(test["model"]):
        there = ", ".join(sorted(set(test["model"]))) or "none"
        raise SourceDataError("scores", f"no score of {model} on test questions; there are {there}", EVALUATE)
    titles = {card["name"]: card["title"] for card in cards}
    own = test[(test["model"] == model) & (test["reference"] == base)]
    plain = test[test["reference"].isna() | (test["reference"] == base)]
    key = ["benchmark", "metric", "model"]
    values = plain.drop_duplicates(key).set_index(key)["value"].to_dict()
    order = {name: place for place, name in enumerate(titles)}
    return [
        _score_line(row, titles, values, mean, base)
        for row in sorted(own.to_dict("records"), key=lambda row: order.get(row["benchmark"], len(order)))
    ]


def _score_line(
    row: Mapping[Any, Any], titles: Mapping[str, str], values: Mapping[Any, float], mean: str, base: str
) -> ScoreLine:
    place = (row["benchmark"], row["metric"])
    try:
        title, of_base = titles[row["benchmark"]], float(values[(*place, base)])
    except KeyError as error:
        cause = f"{row['benchmark']} {row['metric']}: {error} is missing: scores and cards are of different runs"
        raise SourceDataError("scores", cause, EVALUATE) from error
    over_seeds = values.get((*place, mean))
    return ScoreLine(
        title=title,
        metric=row["metric"],
        n=int(row["n"]),
        clusters=int(row["clusters"]),
        base=of_base,
        value=float(row["value"]),
        low=float(row["ci_low"]),
        high=float(row["ci_high"]),
        difference=float(row["difference"]),
        diff_low=float(row["diff_low"]),
        diff_high=float(row["diff_high"]),
        p_holm=float(row["p_holm"]),
        over_seeds=None if over_seeds is None else float(over_seeds),
    )


def read_abilities(abilities: pd.DataFrame, *, model: str, base: str) -> list[AbilityLine]:
    """Return culture and general ability of a model on the test part; nothing where one of the two was not measured.

    Args:
        abilities: Table ABILITIES.
        model: The model's name in the table.
        base: Name of the base.
    """
    test = {row["model"]: row for row in abilities[abilities["part"] == "test"].to_dict("records")}
    if model not in test or base not in test:
        return []
    return list(_ability_lines(test[model], test[base]))


def _ability_lines(own: Mapping[Any, Any], of_base: Mapping[Any, Any]) -> Iterator[AbilityLine]:
    for ability, title in ABILITIES.items():
        if pd.notna(own[ability]):
            change, low, high = (float(own[f"{ability}_change{end}"]) for end in ("", "_low", "_high"))
            yield AbilityLine(
                title=title,
                base=float(of_base[ability]),
                value=float(own[ability]),
                change=change,
                low=low,
                high=high,
            )
