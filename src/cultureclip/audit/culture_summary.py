"""The figures of an audit that say whose culture a model answers by: indices, change, alignment, distances."""

from typing import Any

import numpy as np
import pandas as pd

from cultureclip.audit.measures.awareness import (
    AWARE,
    UNAWARE,
    alignment_by_rule,
    estimate_alignment,
    estimate_change,
    mean_alignment,
)
from cultureclip.audit.measures.distributions import estimate_distance, estimate_divergence
from cultureclip.audit.measures.hofstede import (
    INDICES,
    LEAST_COUNTRIES,
    IndexSettings,
    estimate_indices,
    estimate_tau,
    share_misranked,
)
from cultureclip.audit.questionnaires.population import modal_answers
from cultureclip.audit.summary import as_numbers


def summarise_indices(
    answers: pd.DataFrame, questions: pd.DataFrame, published: pd.DataFrame, settings: IndexSettings
) -> dict[str, Any] | None:
    """Compute Hofstede's indices of every country, and compare their order with the published one.

    Args:
        answers: Table ANSWERS.
        questions: Table QUESTIONS.
        published: From :func:`~cultureclip.audit.measures.published.read_published`; without a row if there is no
            such file.
        settings: What is free in the formulas.

    Returns:
        None if the questionnaire has no VSM items. ``indices``: a row per country and index with ``value`` (null where
        an item has no answer), ``low``, ``high`` and ``published``. ``tau`` by index, with the number of countries and
        the least for an interval; and ``misranked`` by country; null without published indices.
    """
    places = dict(zip(questions["item"], questions["vsm"], strict=True))
    vsm = answers["item"].map(places)
    asked = answers.assign(vsm=vsm)[vsm.notna() & (answers["mode"] == AWARE)]
    if asked.empty:
        return None
    read, rows = asked[asked["option"].notna()], []
    countries = list(asked["country"].unique())
    for country in countries:
        of_country = read[read["country"] == country]
        columns = (of_country[name].to_numpy() for name in ("vsm", "wording", "option"))
        items, wordings, options = columns
        found = estimate_indices(items.astype(int), wordings, options.astype(float), settings)
        for index, (value, interval) in found.items():
            ends = (None, None) if interval is None else (interval.low, interval.high)
            known = None if published.empty or pd.isna(published.loc[country, index]) else published.loc[country, index]
            rows.append(
                {
                    **{"country": country, "index": index, "value": value, "low": ends[0], "high": ends[1]},
                    "published": None if known is None else float(known),
                }
            )
    model = pd.DataFrame(rows).pivot(index="country", columns="index", values="value").astype(float).loc[countries]
    ranked = None if published.empty else published.loc[countries]
    return {
        "indices": rows,
        "tau": None if ranked is None else {index: _rank(model[index], ranked[index]) for index in INDICES},
        "misranked": None if ranked is None else share_misranked(model, ranked),
        "least_countries": LEAST_COUNTRIES,
    }


def _rank(model: pd.Series, published: pd.Series) -> dict[str, Any]:
    known = model.notna() & published.notna()
    value, interval = estimate_tau(model[known].to_numpy(), published[known].to_numpy())
    ends = (None, None) if interval is None else (interval.low, interval.high)
    return {"value": value, "low": ends[0], "high": ends[1], "countries": int(known.sum())}


def summarise_change(pairs: pd.DataFrame) -> dict[str, Any]:
    """Sum up what culture changes, in all and by country.

    Args:
        pairs: From :func:`~cultureclip.audit.measures.awareness.select_instances`.

    Returns:
        ``pairs``, ``changed``, ``by_chance`` and ``beyond_chance``; ``reasons``: counts of pairs by why they are not
        selected; ``selected``; and ``countries``: the same estimates of each.
    """
    changes = {name: as_numbers(found) for name, found in estimate_change(pairs).items()}
    countries = [
        {"country": country, **{name: as_numbers(found) for name, found in estimate_change(given).items()}}
        for country, given in pairs.groupby("country", sort=False)
    ]
    reasons = {str(name): int(count) for name, count in pairs["reason"].value_counts().items()}
    selected = int(pairs["verdict"].eq("accepted").sum())
    return {"pairs": len(pairs), **changes, "reasons": reasons, "selected": selected, "countries": countries}


def summarise_alignment(answers: pd.DataFrame, population: pd.DataFrame) -> dict[str, Any] | None:
    """Score how near answers are to those of most people, aware and unaware; None without a population.

    Args:
        answers: Table ANSWERS.
        population: From :func:`~cultureclip.audit.questionnaires.population.read_population`; without a row if there
            is no file.

    Returns:
        ``rules``: the mean scores of two rules that know no culture; ``means``: of each mode the mean over countries;
        ``countries``: of each country, by mode, the score and the number of its answers (null without any).
    """
    if population.empty:
        return None
    gold = modal_answers(population)
    sizes = answers.drop_duplicates("item").set_index("item")["options"]
    countries: list[dict[str, Any]] = []
    scored: dict[str, list[pd.DataFrame]] = {AWARE: [], UNAWARE: []}
    for country, known in gold.groupby("country", sort=False):
        row: dict[str, Any] = {"country": country}
        for mode in (AWARE, UNAWARE):
            given = answers[(answers["mode"] == mode) & answers["option"].notna()]
            given = given[given["country"] == country] if mode == AWARE else given
            both = given.merge(known[["item", "gold"]], on="item")
            columns = [both[name].to_numpy() for name in ("option", "gold", "options", "item", "wording")]
            row[mode] = as_numbers(estimate_alignment(*columns)) if len(both) else None
            row[f"{mode}_answers"] = len(both)
            scored[mode].append(both.assign(country=country))
        row |= {"rules": alignment_by_rule(known["gold"].to_numpy(), known["item"].map(sizes).to_numpy())}
        countries.append(row)
    rules = {rule: float(np.mean([row["rules"][rule] for row in countries])) for rule in ("random", "middle")}
    means = {mode: as_numbers(mean_alignment(pd.concat(tables))) for mode, tables in scored.items()}
    return {"rules": rules, "means": means, "countries": countries}


def summarise_distances(distances: pd.DataFrame) -> dict[str, Any] | None:
    """Average the distances from the population, by mode, country and stratum; None without a population.

    Args:
        distances: Table DISTANCES.

    Returns:
        ``means`` of each mode, and ``strata``: of each country, stratum and mode; each with ``js`` and ``kl``
        (``value``, ``low``, ``high``; null where nothing was compared), ``floor``, ``compared`` and ``why_not``.
    """
    if distances.empty:
        return None
    means = {mode: _average(distances[distances["mode"] == mode]) for mode in (AWARE, UNAWARE)}
    strata = [
        {**dict(zip(("country", "stratum", "mode"), key, strict=True)), **_average(given)}
        for key, given in distances.groupby(["country", "stratum", "mode"], sort=False)
    ]
    return {"means": means, "strata": strata}


def _average(distances: pd.DataFrame) -> dict[str, Any]:
    known = distances[distances["js"].notna()]
    items = known["item"].to_numpy()
    divergence = estimate_divergence(known["kl"].to_numpy(), items) if len(known) else None
    why_not = {str(name): int(count) for name, count in distances["why_not"].value_counts().items()}
    return {
        "js": as_numbers(estimate_distance(known["js"].to_numpy(), items)) if len(known) else None,
        "kl": as_numbers(divergence),
        "kl_mean": float(known["kl"].mean()) if len(known) else None,
        "floor": float(known["floor"].mean()) if len(known) else None,
        "compared": len(known),
        "why_not": why_not,
    }
