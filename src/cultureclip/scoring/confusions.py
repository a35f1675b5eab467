"""Options that the base confuses and a tuned model does not, and the reverse, from predictions alone."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.scoring.models import BASE, ModelName, read_names
from cultureclip.scoring.scores import plan_scores
from cultureclip.tables import CONFUSIONS, make_table

FIXED, BROKEN = "fixed", "broken"
EXAMPLES = 5
"""Items named for each confusion."""

_PLACE = ("benchmark", "metric", "part")
_PAIR = (*_PLACE, "right", "wrong")


@dataclass(frozen=True)
class Confusion:
    """A right option that one model, and only one, takes for a wrong one.

    Attributes:
        benchmark: Name of the benchmark.
        metric: Metric of the items.
        kind: ``fixed``: the base chose the wrong option and the model did not; ``broken``: the other way round.
        right: Text of the right option.
        wrong: Text of the option that was chosen in its place.
        n: Answers (an item by a seed) of this kind.
        asked: Answers to all questions with this right option that offer this wrong one.
        items: Ids of up to :data:`EXAMPLES` items, those with the largest change of margin first.
        images: Keys of their pictures.
        base_margin: The base's cosine of the right option less that of the wrong one: mean over the n answers.
        model_margin: The same figure of the model.
    """

    benchmark: str
    metric: str
    kind: str
    right: str
    wrong: str
    n: int
    asked: int
    items: tuple[str, ...]
    images: tuple[str, ...]
    base_margin: float
    model_margin: float


def count_confusions(predictions: pd.DataFrame, plain: str, headlines: Collection[ModelName] = ()) -> pd.DataFrame:
    """Return confusions of the base against every objective (over its seeds) and every model from elsewhere.

    A confusion is a question about a picture, whose options are listed with the right one first, and of which one model
    gets full credit and the other none. An answer whose best options tie is neither right nor wrong, and enters neither
    side; lists of retrieved candidates name no right option, and do not count. Nor do questions whose options are
    pictures, the one asked about being the right one: pictures have no names.

    Args:
        predictions: The predictions table.
        plain: The objective of plain contrastive tuning.
        headlines: Models at a scale of their update that are compared as well.

    Returns:
        The table of confusions.
    """
    choices = _choices(predictions)
    base = choices[choices["model"] == BASE]
    rows: list[dict[str, Any]] = []
    for model in plan_scores(read_names(predictions), plain):
        if (model.name.is_whole_mean or model.name in headlines) and model.name != ModelName(BASE):
            answers = choices[choices["model"].isin(list(map(str, model.members)))]
            pairs = base.merge(answers, on=["benchmark", "item_id"], suffixes=("", "_model"))
            rows += [{"model": str(model.name)} | row for row in _confusions(pairs)]
    return make_table(rows, CONFUSIONS)


def read_confusions(table: pd.DataFrame, model: str, part: str, kind: str) -> list[Confusion]:
    """Return the confusions of one kind as objects, the most frequent first, then those with the largest margin change.

    Args:
        table: The table of confusions.
        model: The model that is compared with the base.
        part: ``dev`` or ``test``.
        kind: ``fixed`` or ``broken``.
    """
    rows = table[(table["model"] == model) & (table["part"] == part) & (table["kind"] == kind)]
    change = (rows["model_margin"] - rows["base_margin"]).abs()
    rows = rows.assign(change=change).sort_values(
        ["n", "change", "right", "wrong"], ascending=[False, False, True, True]
    )
    return [
        Confusion(
            **{name: row[name] for name in ("benchmark", "metric", "kind", "right", "wrong", "n", "asked")},
            items=tuple(row["items"]),
            images=tuple(row["images"]),
            base_margin=row["base_margin"],
            model_margin=row["model_margin"],
        )
        for row in rows.to_dict("records")
    ]


def _choices(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the answers about pictures; retrieved lists drop out later, because they predict the first."""
    asked = predictions[(predictions["image"] != "") & (predictions["options"].map(len) > 1)]
    return asked.assign(metric=asked["item_id"].map(metric_of))


def _confusions(pairs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield rows of one model from its answers beside the base's."""
    for kind, one, other in ((FIXED, "", "_model"), (BROKEN, "_model", "")):
        named = pairs[pairs[f"options{one}"].str[0] != pairs["image"]]
        is_mistake = (named[f"correct{one}"] == 0) & (named[f"predicted{one}"] > 0) & (named[f"correct{other}"] == 1)
        found: dict[tuple[str, ...], list[tuple[str, str, float, float]]] = defaultdict(list)
        for row in named[is_mistake].to_dict("records"):
            options = row[f"options{one}"]
            right, wrong = options[0], options[row[f"predicted{one}"]]
            margins = (_margin(row, suffix, right, wrong) for suffix in ("", "_model"))
            found[(*(row[name] for name in _PLACE), right, wrong)].append((row["item_id"], row["image"], *margins))
        asked = _count_offers(named, f"options{one}")
        for key, answers in sorted(found.items()):
            yield {"kind": kind} | dict(zip(_PAIR, key, strict=True)) | _summarise(answers) | {"asked": asked[key]}


def _count_offers(pairs: pd.DataFrame, options: str) -> Counter[tuple[str, ...]]:
    """Return how many answers had a wrong option on offer for a right one, by all of :data:`_PAIR`."""
    columns = (pairs[name].to_numpy(object) for name in (*_PLACE, options))
    return Counter((*place, offer[0], wrong) for *place, offer in zip(*columns, strict=True) for wrong in offer[1:])


def _summarise(answers: list[tuple[str, str, float, float]]) -> dict[str, Any]:
    change = {answer: abs(answer[3] - answer[2]) for answer in answers}
    first = sorted(answers, key=lambda answer: (-np.nan_to_num(change[answer]), answer[0]))
    images = dict(list({item: image for item, image, *_ in first}.items())[:EXAMPLES])
    return {
        "n": len(answers),
        "items": list(images),
        "images": list(images.values()),
        "base_margin": _mean([answer[2] for answer in answers]),
        "model_margin": _mean([answer[3] for answer in answers]),
    }


def _margin(row: Mapping[Any, Any], suffix: str, right: str, wrong: str) -> float:
    """Return the right option's cosine less the wrong one's; NaN unless a model's answer lists both in these roles."""
    options, scores = list(row[f"options{suffix}"]), row[f"scores{suffix}"]
    if options[0] != right or wrong not in options:
        return np.nan
    return float(scores[0] - scores[options.index(wrong)])


def _mean(margins: Sequence[float]) -> float:
    """Return the mean of the known margins: with many options, a model's prediction keeps only its best ones."""
    known = [margin for margin in margins if not np.isnan(margin)]
    return float(np.mean(known)) if known else np.nan
