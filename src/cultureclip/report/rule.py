"""Which model stands for an objective on every page, and the rule that picks it, in one sentence."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cultureclip.report.data import ReportSettings
from cultureclip.report.words import judge_interval, model_title
from cultureclip.scoring.abilities import CULTURE, GENERAL, GENERAL_FIRST, headline_model

ABILITIES = {
    CULTURE: "Culture, mean of the main metrics",
    GENERAL: "General ability, mean of all metrics (R@1, R@5, R@10)",
    GENERAL_FIRST: "General ability, first place alone (R@1)",
}


@dataclass(frozen=True)
class Headlines:
    """The models that every page is about.

    Attributes:
        proposed: Name of the model that stands for the proposed objective.
        plain: Name of the one that stands for plain tuning.
        rule: The rule with its limit and what it picks, in a sentence; empty where nothing was trained.
    """

    proposed: str
    plain: str
    rule: str

    @property
    def proposed_title(self) -> str:
        """The proposed model's name for readers."""
        return model_title(self.proposed)

    @property
    def plain_title(self) -> str:
        """The plain model's name for readers."""
        return model_title(self.plain)


@dataclass(frozen=True)
class Change:
    """Change of one ability against the base, in points, with its 95 % interval; ``base`` and ``value`` are shares."""

    base: float
    value: float
    change: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``above`` or ``below`` where the interval excludes zero, else ``unclear``."""
        return judge_interval(self.low, self.high)


@dataclass(frozen=True)
class AbilityLine:
    """One ability of a model on both parts; ``limit`` is the loss in points that the rule allows on dev questions."""

    title: str
    dev: Change | None
    test: Change | None
    limit: float | None


def pick_headlines(abilities: pd.DataFrame, settings: ReportSettings) -> Headlines:
    """Pick the models that pages are about: those that the rule chose on dev questions, else all of the update.

    Args:
        abilities: The table of abilities.
        settings: The objectives, and the limit.
    """
    proposed, is_chosen = headline_model(abilities, settings.proposed)
    plain, _ = headline_model(abilities, settings.plain)
    own = abilities[(abilities["objective"] == settings.proposed) & abilities["seed"].isna()]
    shares = sorted(set(own.loc[own["part"] == "dev", "scale"]))
    title, limit = model_title(settings.proposed), f"{100 * settings.max_general_loss:g}"
    if own.empty:
        rule = ""
    elif not shares:
        rule = f"There were no dev questions for the rule to choose by: pages show all of {title}'s update."
    elif is_chosen:
        rule = (
            f"The rule picks {_list([proposed.scale])} of {title}'s update: of {_list(shares)}, this share is best at "
            f"culture on dev questions that loses at most {limit} points of general ability there, in the mean of R@1, "
            "R@5 and R@10 as well as in R@1 alone."
        )
    else:
        rule = (
            f"The rule picks nothing: on dev questions {_list(shares)} of {title}'s update lose more than {limit} "
            "points of general ability, in the mean of R@1, R@5 and R@10 or in R@1 alone; pages show all of the "
            "update, which the rule rejects."
        )
    return Headlines(str(proposed), str(plain), rule)


def compare_parts(abilities: pd.DataFrame, model: str, max_general_loss: float) -> list[AbilityLine]:
    """List a model's abilities beside the base's, on dev questions, which the rule goes by, and on test questions.

    Args:
        abilities: The table of abilities.
        model: Its name.
        max_general_loss: The limit of the rule.
    """
    rows = {str(row["part"]): row for row in abilities[abilities["model"] == model].to_dict("records")}
    lines = []
    for ability, title in ABILITIES.items():
        dev, test = (_read(rows.get(part), ability) for part in ("dev", "test"))
        if dev or test:
            lines.append(AbilityLine(title, dev, test, None if ability == CULTURE else 100 * max_general_loss))
    return lines


def _read(row: dict[Any, Any] | None, ability: str) -> Change | None:
    if row is None or pd.isna(row[ability]):
        return None
    change, low, high = (100 * float(row[f"{ability}_change{end}"]) for end in ("", "_low", "_high"))
    value = float(row[ability])
    return Change(value - change / 100, value, change, low, high)


def _list(shares: list[float]) -> str:
    names = ["all" if share == 1 else f"{share:g}" for share in shares]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
