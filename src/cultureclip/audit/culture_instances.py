"""Culture-related instances about the concepts: questions whose answer a culture changes, and the false texts in them.

CultureSPA (arXiv 2410.12971) keeps the questions that a model answers differently when it is told whose answers it
gives. Here the questions are made from twins, so the right answer is known: which of some look-alikes is at home in
this culture. Where the model, told nothing, stably gives a look-alike of another culture, and something else when it is
told the culture, "<the look-alike> from <this culture>" is a hard negative for images of the concept: it has the right
culture, and the thing that the model takes for the usual one.
"""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.audit.measures.awareness import pair_answers, select_instances
from cultureclip.audit.measures.intervals import CrossedItems
from cultureclip.audit.questionnaires.questionnaire import MOST_OPTIONS
from cultureclip.audit.questionnaires.survey_file import fold
from cultureclip.concepts.regions import region_name
from cultureclip.ids import hash_fraction
from cultureclip.prompts import FIELD_LIMIT, plain
from cultureclip.statistics import Estimate
from cultureclip.tables import NEGATIVE_COLUMNS, SIDES, VERDICTS

_OPTION = pa.Check.in_range(1, MOST_OPTIONS)

CULTURE_INSTANCES = pa.DataFrameSchema(
    {
        "concept_id": pa.Column(str),  # the thing of the culture: the item of the survey
        "country": pa.Column(str),
        "stratum": pa.Column(str),
        "wording": pa.Column(str),
        "repeat": pa.Column(int, pa.Check.ge(0)),
        "question": pa.Column(str),
        "options": pa.Column(object),  # names of things, from 1 on
        "right": pa.Column(int, _OPTION),
        "aware": pa.Column("Int64", _OPTION, nullable=True),
        "unaware": pa.Column("Int64", _OPTION, nullable=True),
        "again": pa.Column("Int64", _OPTION, nullable=True),
        "verdict": pa.Column(str, pa.Check.isin(VERDICTS)),
        "reason": pa.Column(str, nullable=True),  # see awareness.select_instances
        "hard_negative": pa.Column(str, nullable=True),  # null unless accepted with a wrong unaware answer
    },
    strict=True,
    unique=["concept_id", "stratum", "wording", "repeat"],
)
"""One row per answer as a person of the concept's culture, beside the answer as nobody in particular."""


def make_questions(
    concepts: pd.DataFrame, twins: pd.DataFrame, question: str, options: int, first: int | None = None
) -> pd.DataFrame:
    """Make a question of every concept of an accepted twin.

    Args:
        concepts: Table CONCEPTS.
        twins: Table TWINS.
        question: Its words; ``{universal}`` is the kind of thing.
        options: Most options: the concept and look-alikes that share no culture with it, in an order that depends on
            the concept.
        first: Most questions, in the order of the concepts' ids; None: all.

    Returns:
        Table QUESTIONS with ``country`` and ``right``; a concept whose look-alikes have its name has no question.
    """
    rows: dict[str, Any] = {str(row["concept_id"]): row for row in concepts.to_dict("records")}
    alike: dict[str, set[str]] = defaultdict(set)
    accepted = twins[twins["verdict"] == "accepted"]
    for a, b in accepted[["a_concept_id", "b_concept_id"]].astype(str).itertuples(index=False):
        alike[a].add(b)
        alike[b].add(a)
    made = []
    for own in sorted(alike):
        row = rows[own]
        others = [one for one in sorted(alike[own]) if not set(rows[one]["cultures"]) & set(row["cultures"])]
        names = {fold(row["name"]): own}
        for other in others:
            names.setdefault(fold(rows[other]["name"]), other)
        listed = sorted(list(names.values())[:options], key=lambda one: hash_fraction(one, own))
        if len(listed) > 1:
            made.append(
                {
                    "item": own,
                    "topic": str(row["category"]),
                    "question": question.replace("{universal}", plain(row["universal"])[:FIELD_LIMIT]),
                    "options": [plain(rows[one]["name"])[:FIELD_LIMIT] for one in listed],
                    "vsm": pd.NA,
                    "country": region_name(row["cultures"][0]),
                    "right": listed.index(own) + 1,
                }
            )
    columns = ["item", "topic", "question", "options", "vsm", "country", "right"]
    return pd.DataFrame(made[:first], columns=columns)


def build_instances(answers: pd.DataFrame, questions: pd.DataFrame, statement: str) -> pd.DataFrame:
    """Select the culture-related answers, and write their hard negatives.

    Args:
        answers: Table ANSWERS.
        questions: From :func:`make_questions`.
        statement: Text of a hard negative, with ``{name}`` and ``{country}``.

    Returns:
        Table CULTURE_INSTANCES.
    """
    selected = select_instances(pair_answers(answers))
    merged = selected.merge(questions[["item", "question", "options", "right"]], on="item", how="left")
    texts = [_hard_negative(row, statement) for row in merged.to_dict("records")]
    table = merged.rename(columns={"item": "concept_id"}).assign(hard_negative=pd.Series(texts, dtype=object))
    return table[list(CULTURE_INSTANCES.columns)].astype({"reason": "str", "hard_negative": "str"})


def _hard_negative(row: dict[Any, Any], statement: str) -> str | None:
    if row["verdict"] != "accepted" or row["unaware"] == row["right"]:
        return None
    name = row["options"][row["unaware"] - 1]
    return statement.replace("{name}", name).replace("{country}", row["country"])


def add_hard_negatives(rows: pd.DataFrame, instances: pd.DataFrame) -> pd.DataFrame:
    """Give each side of each row a hard negative of its concept: one of several depends on the row.

    Args:
        rows: Table CULTWIN.
        instances: Table CULTURE_INSTANCES.

    Returns:
        The rows with a column per side, null where the concept has none.
    """
    known = instances.dropna(subset=["hard_negative"])
    texts = {str(one): sorted(set(found)) for one, found in known.groupby("concept_id")["hard_negative"]}

    def choose(row_id: str, concept: str) -> str | None:
        found = texts.get(concept, [])
        return found[int(hash_fraction(row_id, concept) * len(found))] if found else None

    added = {}
    for side, column in zip(SIDES, NEGATIVE_COLUMNS, strict=True):
        chosen = [choose(*of) for of in zip(rows["row_id"], rows[f"{side}_concept_id"], strict=True)]
        added[column] = pd.Series(chosen, dtype=object)
    return rows.reset_index(drop=True).assign(**added)


def summarise_instances(instances: pd.DataFrame) -> dict[str, Any]:
    """Count instances by reason, and say how often the model knows what is at home where.

    Returns:
        ``in`` = ``kept`` + all ``rejected`` by reason; the distinct hard negatives and their concepts; the shares of
        read aware and unaware answers that are right, with their intervals over questions and wordings.
    """
    kept, negatives = instances["verdict"] == "accepted", instances.dropna(subset=["hard_negative"])
    return {
        "in": len(instances),
        "kept": int(kept.sum()),
        "rejected": {str(why): int(count) for why, count in instances.loc[~kept, "reason"].value_counts().items()},
        "hard_negatives": int(negatives.groupby(["concept_id", "hard_negative"]).ngroups),
        "concepts": int(negatives["concept_id"].nunique()),
        "right": {name: _share_right(instances, name) for name in ("aware", "unaware")},
    }


def _share_right(instances: pd.DataFrame, name: str) -> dict[str, float | int] | None:
    read = instances[instances[name].notna()]
    if read.empty:
        return None
    items = CrossedItems(read["concept_id"].to_numpy(), read["wording"].to_numpy())
    found: Estimate = items.estimate_mean(read[name].eq(read["right"]).to_numpy(float))
    chance = float(np.mean([1 / len(options) for options in read["options"]]))
    return {"n": len(read), "value": found.value, "low": found.low, "high": found.high, "chance": chance}
