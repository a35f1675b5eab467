"""Evaluations of several draws of the data, and what of their scores is the chance of data, seed and questions."""

import glob
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.scoring.answers import Answers, read_answers
from cultureclip.scoring.metrics import order_metrics
from cultureclip.scoring.models import BASE, ModelName, read_names
from cultureclip.scoring.scores import ScoredModel, plan_scores
from cultureclip.scoring.variance import Variance, decompose
from cultureclip.tables import make_table

_RUN, _PREDICTIONS = "07_model_output/evaluation_run.json", "07_model_output/predictions.parquet"
_READ = [
    *("benchmark", "model", "item_id", "cluster", "part", "correct"),
    *("culture", "category", "objective", "seed", "scale"),
]
_CHANCES = ("data", "seed", "questions")

VARIANCE = pa.DataFrameSchema(
    {
        "benchmark": pa.Column(str),
        "metric": pa.Column(str),
        "part": pa.Column(str, pa.Check.isin(["dev", "test"])),
        "model": pa.Column(str),  # an objective, at a scale of its update: the mean over draws and seeds
        "reference": pa.Column(str, nullable=True),  # null: the score itself, else the paired difference
        "value": pa.Column(float),
        "low": pa.Column(float),  # 95 % interval for other questions, other draws of the data and other seeds
        "high": pa.Column(float),
        "questions_low": pa.Column(float),  # for other questions alone, as in scores
        "questions_high": pa.Column(float),
        **{
            f"{chance}_sd{end}": pa.Column(float, pa.Check.ge(0))  # of the score of one training
            for chance in _CHANCES
            for end in ("", "_low", "_high")
        },
        "draws": pa.Column(int, pa.Check.ge(2)),
        "seeds": pa.Column(int, pa.Check.ge(2)),
        "n": pa.Column(int),
        "clusters": pa.Column(int),
    },
    strict=True,
    unique=["benchmark", "metric", "part", "model", "reference"],
)


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """The evaluation of one draw of the data.

    Attributes:
        number: ``draw`` of its run.
        folder: Root of its data.
        plain_objective: The objective of plain contrastive tuning.
        predictions: The predictions table, less the columns that nothing here reads.
    """

    number: int
    folder: Path
    plain_objective: str
    predictions: pd.DataFrame


def find_draws(folders: Sequence[str]) -> list[Draw]:
    """Read the newest evaluation under each root of data.

    Args:
        folders: Folders that ``data`` of a run's globals named, or glob patterns of them. One without an evaluation is
            a draw that has not ended: it is left out, with a warning.

    Returns:
        The draws, by number.

    Raises:
        ConfigurationError: if a pattern matches nothing.
        SourceDataError: if there are fewer than two draws, one is there twice, or a file is not an evaluation's.
    """
    draws: dict[int, Draw] = {}
    for pattern in folders:
        found = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
        if not found:
            raise ConfigurationError(
                f"variance.runs {pattern}", "no folder matches", "Draw the data first: python bench/draws.py"
            )
        for folder in map(Path, found):
            draw = _read(folder)
            if draw is None:
                logger.warning("%s has no evaluation: it is left out", folder)
            elif draw.number in draws:
                raise SourceDataError(
                    folder,
                    f"draw {draw.number} is in {draws[draw.number].folder} too",
                    "Name one of the two in variance.runs",
                )
            else:
                draws[draw.number] = draw
    if len(draws) < 2:
        cause = f"{len(draws)} draw of the data is there, and a variance needs two"
        raise SourceDataError("variance.runs", cause, "Draw the data again: python bench/draws.py")
    return [draws[number] for number in sorted(draws)]


def decompose_scores(draws: Sequence[Draw]) -> pd.DataFrame:
    """Decompose every score of an objective, and every difference of it to the base and to plain tuning.

    Returns:
        Table VARIANCE.

    Raises:
        SourceDataError: if the draws were not asked the same, or not trained with the same seeds, at least two.
    """
    plans = [plan_scores(read_names(draw.predictions), draw.plain_objective) for draw in draws]
    plan = [model for model in plans[0] if model.seeds and model.name.seed is None]
    for draw, other in zip(draws, plans, strict=True):
        _check_plan(draw, plan, [model for model in other if model.seeds and model.name.seed is None])
    members = {member for model in plan for member in model.members} | {ModelName(BASE)}
    rows: list[dict[str, Any]] = []
    for asked in zip(*(read_answers(draw.predictions, members) for draw in draws), strict=True):
        _check_asked(draws, asked)
        place = {"benchmark": asked[0].benchmark, "metric": asked[0].metric, "part": asked[0].part}
        clusters = asked[0].items["cluster"].to_numpy()
        if len(set(clusters)) < 2:
            logger.warning("%s: all questions are about one concept, which says nothing of others: left out", place)
            continue
        values = {model.name: _credits(asked, model) for model in plan}
        values[ModelName(BASE)] = np.repeat(_credits(asked, _BASE_MODEL), len(plan[0].members), axis=1)
        for model in plan:
            for reference in (None, *model.references):
                own = values[model.name] if reference is None else values[model.name] - values[reference]
                found = decompose(own, clusters, is_difference=reference is not None)
                name = None if reference is None else str(reference)
                rows.append(place | {"model": str(model.name), "reference": name} | _to_row(found))
    return make_table(rows, VARIANCE)


_BASE_MODEL = ScoredModel(ModelName(BASE), (ModelName(BASE),), (), ())


def _read(folder: Path) -> Draw | None:
    versions = sorted((folder / _RUN).glob("*/evaluation_run.json"))
    tables = [folder / _PREDICTIONS / file.parent.name / "predictions.parquet" for file in versions]
    complete = [(file, table) for file, table in zip(versions, tables, strict=True) if table.is_file()]
    if not complete:
        return None
    file, table = complete[-1]
    try:
        run: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        number = int(run["parameters"]["captioning"].get("draw", 0))
        predictions = pd.read_parquet(table, columns=_READ)
        return Draw(number, folder, run["settings"]["plain_objective"], predictions)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SourceDataError(file, f"it is not what an evaluation writes ({error})", "Evaluate again") from error


def _check_plan(draw: Draw, expected: Sequence[ScoredModel], found: Sequence[ScoredModel]) -> None:
    remedy = "Train every draw with the same train.objectives, train.seeds and evaluation.scales"
    if [(model.name, model.seeds) for model in found] != [(model.name, model.seeds) for model in expected]:
        raise SourceDataError(draw.folder, "it has other trainings than the first draw", remedy)
    if not expected or len(expected[0].seeds) < 2:
        cause = "it has fewer than two seeds of an objective: data and seed cannot be told apart"
        raise SourceDataError(draw.folder, cause, "List two or more train.seeds, and draw again")


def _check_asked(draws: Sequence[Draw], asked: Sequence[Answers]) -> None:
    first = asked[0]
    for draw, other in zip(draws, asked, strict=True):
        if not first.items.index.equals(other.items.index):
            cause = f"its questions of {other.benchmark} ({other.metric}) are not those of draw {draws[0].number}"
            raise SourceDataError(draw.folder, cause, "Evaluate every draw on the same benchmarks, with one version")


def _credits(asked: Sequence[Answers], model: ScoredModel) -> np.ndarray:
    """Return the credit of a model's seeds, [draws, seeds, items]."""
    names = list(map(str, model.members))
    return np.stack([answers.credit[names].to_numpy().T for answers in asked])


def _to_row(found: Variance) -> dict[str, Any]:
    """Return a row's figures; variances as standard deviations, which are read in points of the score."""
    spreads = {
        f"{chance}_sd{end}": float(np.sqrt(figure))
        for chance, estimate in zip(_CHANCES, (found.data, found.seed, found.questions), strict=True)
        for end, figure in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }
    return {
        "value": found.mean.value,
        "low": found.mean.low,
        "high": found.mean.high,
        "questions_low": found.questions_only.low,
        "questions_high": found.questions_only.high,
        **spreads,
        "draws": found.draws,
        "seeds": found.seeds,
        "n": found.items,
        "clusters": found.clusters,
    }


def tabulate_variance(table: pd.DataFrame) -> pd.DataFrame:
    """Write the main metrics of the test part as text, in points: one row per benchmark, model and reference.

    Args:
        table: Table VARIANCE.
    """
    shown = table[(table["part"] == "test") & ~table["model"].str.contains("@")]
    main = {str(name): order_metrics(rows["metric"].unique())[0] for name, rows in shown.groupby("benchmark")}
    shown = shown[shown["metric"] == shown["benchmark"].map(main)]
    return pd.DataFrame(
        [
            {
                "benchmark": f"{row['benchmark']} {row['metric']} (n = {row['n']:,})",
                "figure": row["model"] if pd.isna(row["reference"]) else f"{row['model']} - {row['reference']}",
                "value": f"{100 * row['value']:.1f}",
                "other questions": f"{100 * row['questions_low']:.1f} to {100 * row['questions_high']:.1f}",
                "and other data and seeds": f"{100 * row['low']:.1f} to {100 * row['high']:.1f}",
                **{
                    f"sd, {chance}": "{:.1f} ({:.1f} to {:.1f})".format(
                        *(100 * row[f"{chance}_sd{end}"] for end in ("", "_low", "_high"))
                    )
                    for chance in _CHANCES
                },
            }
            for row in shown.to_dict("records")
        ]
    ).set_index("benchmark")
