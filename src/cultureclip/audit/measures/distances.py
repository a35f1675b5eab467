"""A model's answers beside a population's, question by question."""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.audit.measures.awareness import AWARE, UNAWARE
from cultureclip.audit.measures.distributions import count_options, expected_floor, js_distance, kl_divergence
from cultureclip.audit.questionnaires.population import EVERYONE
from cultureclip.ids import digest, seed_from_id

NO_ANSWER, NOT_ASKED = "no_answer", "not_asked"

DISTANCES = pa.DataFrameSchema(
    {
        "item": pa.Column(str),
        "country": pa.Column(str),
        "stratum": pa.Column(str),  # empty: everyone
        "mode": pa.Column(str, pa.Check.isin((AWARE, UNAWARE))),
        "answers": pa.Column(int, pa.Check.ge(0)),  # that could be read
        "kl": pa.Column(float, pa.Check.ge(0), nullable=True),  # of the population from the model, nats
        "js": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),  # distance, natural logarithm
        "floor": pa.Column(float, pa.Check.in_range(0, 1), nullable=True),  # js of as many answers of the population
        "why_not": pa.Column(str, pa.Check.isin((NO_ANSWER, NOT_ASKED)), nullable=True),
    },
    strict=True,
)


def compare_answers(answers: pd.DataFrame, population: pd.DataFrame, smoothing: float, seed: int) -> pd.DataFrame:
    """Measure how far the model's answers to each question are from each distribution of the population.

    A distribution of everyone is compared with the answers of all personas together, one of a stratum with those of the
    persona of its name. The unaware answers are compared with the same distributions.

    Args:
        answers: Table ANSWERS.
        population: From :func:`~cultureclip.audit.questionnaires.population.read_population`.
        smoothing: Added to each option's count, for KL.
        seed: Seed of the draws of the floor.

    Returns:
        Table DISTANCES. A stratum without a persona, or without an answer that could be read, has no distance but a
        reason.
    """
    read = answers[answers["option"].notna()]
    aware, unaware = (read[read["mode"] == mode] for mode in (AWARE, UNAWARE))
    personas = set(answers.loc[answers["mode"] == AWARE, "stratum"])
    rows = []
    for item, country, stratum, shares in population[["item", "country", "stratum", "shares"]].itertuples(index=False):
        asked = stratum == EVERYONE or stratum in personas
        of_country = aware[(aware["item"] == item) & (aware["country"] == country)]
        given = {
            AWARE: of_country if stratum == EVERYONE else of_country[of_country["stratum"] == stratum],
            UNAWARE: unaware[unaware["item"] == item],
        }
        for mode, found in given.items():
            row = {"item": item, "country": country, "stratum": stratum, "mode": mode, "answers": len(found)}
            why = NOT_ASKED if not asked else NO_ANSWER if found.empty else None
            options = found["option"].to_numpy(int)
            own = seed_from_id(digest("floor", seed, item, country, stratum, mode))
            rows.append(row | ({"why_not": why} if why else _measure(options, np.asarray(shares), smoothing, own)))
    texts = dict.fromkeys(("item", "country", "stratum", "mode", "why_not"), "str")  # also of a table without rows
    table = pd.DataFrame(rows, columns=list(DISTANCES.columns))
    return table.astype(texts | dict.fromkeys(("kl", "js", "floor"), "float64") | {"answers": int})


def _measure(options: np.ndarray, shares: np.ndarray, smoothing: float, seed: int) -> dict[str, float]:
    counts = count_options(options, len(shares))
    return {
        "kl": max(0.0, kl_divergence(shares, counts, smoothing)),
        "js": js_distance(shares, counts),
        "floor": expected_floor(shares, len(options), seed),
    }
