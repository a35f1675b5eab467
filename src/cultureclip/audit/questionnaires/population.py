"""How people answered: shares of the options by question, country and stratum, as the user supplies them."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cultureclip.audit.questionnaires.survey_file import fold, read_columns, refuse

logger = logging.getLogger(__name__)

TOLERANCE = 0.01
"""How far the shares of a distribution may be from a sum of 1: tables round them."""
EVERYONE = ""
"""Stratum of a distribution that is of all people of a country."""
_KEY = ["item", "country", "stratum"]
POPULATION_COLUMNS = [*_KEY, "shares"]
_REMEDY = "Correct the shares; leave out the rows of questions and strata that nobody answered"


def read_population(path: Path, questions: pd.DataFrame, countries: Sequence[str]) -> pd.DataFrame:
    """Read how people of the listed countries answered the questions; rows of others are left out, and counted.

    Args:
        path: A CSV with the columns ``item``, ``country``, ``option`` (from 1), ``share`` (0 to 1), and, where people
            are divided, ``stratum``. Options without a row have the share 0.
        questions: Table QUESTIONS.
        countries: The countries, as they are asked about.

    Returns:
        ``item``, ``country``, ``stratum`` ("" of everyone) and ``shares``, an array [options] that sums to exactly 1.

    Raises:
        SourceDataError: if it is not such a table, a share or an option is not a number of its range, an option is
            there twice, the shares of a distribution do not sum to 1 (a stratum that nobody answered sums to 0), or no
            row is of a listed country and question.
    """
    cells = read_columns(path, ("item", "country", "option", "share"), ("stratum",))
    items = {fold(item): item for item in questions["item"]}
    named = {fold(country): country for country in countries}
    cells = cells.assign(item=cells["item"].map(fold).map(items), country=cells["country"].map(fold).map(named))
    used = cells[cells["item"].notna() & cells["country"].notna()]
    if used.empty:
        refuse(path, ["no row is of a listed country and a question of the questionnaire"], "Check the names in it")
    if len(used) < len(cells):
        logger.info("%s: %d of %d rows are of other questions or countries", path, len(cells) - len(used), len(cells))
    sizes = dict(zip(questions["item"], questions["options"].map(len), strict=True))
    options, shares = (pd.to_numeric(used[name], errors="coerce") for name in ("option", "share"))
    largest = used["item"].map(sizes)
    problems = [
        f"line {line}: option {used.loc[line, 'option']!r} is not 1 to {largest[line]}"
        for line in used.index[~options.between(1, largest) | (options % 1 != 0)]
    ]
    problems += [
        f"line {line}: share {used.loc[line, 'share']!r} is not a number from 0 to 1"
        for line in used.index[~shares.between(0, 1)]
    ]
    repeated = pd.concat([used[_KEY], options], axis=1).duplicated()
    problems += [f"line {line}: this option of the distribution again" for line in used.index[repeated]]
    refuse(path, problems, _REMEDY)
    rows, uneven = [], []
    for key, given in used.assign(option=options.astype(int), share=shares).groupby(_KEY, sort=False):
        item, country, stratum = map(str, key)
        total = given["share"].sum()
        if abs(total - 1) > TOLERANCE:
            uneven.append(f"{item}, {country}{', ' * bool(stratum)}{stratum}: the shares sum to {total:.3g}, not to 1")
            continue
        spread = np.zeros(sizes[item])
        spread[given["option"] - 1] = given["share"] / total
        rows.append({"item": item, "country": country, "stratum": stratum, "shares": spread})
    refuse(path, uneven, _REMEDY)
    return pd.DataFrame(rows, columns=POPULATION_COLUMNS)


def modal_answers(population: pd.DataFrame) -> pd.DataFrame:
    """Return the answer of most people of each question and country, from 1; the first of several.

    Where people are divided, every stratum counts alike.

    Args:
        population: From :func:`read_population`.

    Returns:
        ``item``, ``country`` and ``gold``.
    """
    rows = [
        {"item": item, "country": country, "gold": int(np.mean(list(given["shares"]), axis=0).argmax()) + 1}
        for (item, country), given in population.groupby(["item", "country"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["item", "country", "gold"])
