"""Names of tables, models and manifests in the words of readers: pages write no name as the code spells it."""

from functools import lru_cache
from typing import Any

from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES
from cultureclip.scoring.models import BASE, ModelName

TITLES = {BASE: "Base CLIP"} | OBJECTIVE_TITLES
"""Models and objectives."""

_WORDS = {
    "accuracy_all": "accuracy with all options",
    "__default__": "all stages",
    "env": "environment",
    "git": "code",
    "dirty": "uncommitted changes",
    "cpu": "processor",
    "load_versions": "versions read",
    "save_versions": "versions written",
    "node_seconds": "seconds per step",
}
"""Everything else whose own name says too little."""


@lru_cache(4096)
def in_words(name: str) -> str:
    """Write a name for readers: of a model, a metric, a stage, a reason or a fact of the manifest.

    A metric's mean over groups keeps its ending ("accuracy_all, mean over cultures"). A name that is not known has
    spaces in place of its underscores.
    """
    first, comma, rest = name.partition(", ")
    if ModelName.parse(first).objective in TITLES:
        return model_title(name)
    return _WORDS.get(first, first.replace("_", " ")).strip() + comma + rest


def model_title(model: str | ModelName) -> str:
    """Write a model's name for readers, with its seed and the share of its update where they are a part of it."""
    name = ModelName.parse(model) if isinstance(model, str) else model
    title = TITLES.get(name.objective, name.objective.replace("_", " "))
    seed = "" if name.seed is None else f", seed {name.seed}"
    return title + seed + (f" at {name.scale:g}" if name.scale < 1 else "")


def sentence_case(text: str) -> str:
    """Begin with a capital letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def mid_sentence(title: str) -> str:
    """Begin with a small letter, unless the first word is a name of its own ("CLIP on concepts", "CultureCLIP")."""
    first = title.partition(" ")[0]
    return title[:1].lower() + title[1:] if first[1:].islower() else title


def value_in_words(value: Any) -> str:
    """Write a single value of a manifest for readers: yes and no, thousands apart, nothing for what is not known."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return in_words(value) if isinstance(value, str) and value.startswith("__") else str(value)


def judge_interval(low: float, high: float) -> str:
    """Say ``above`` or ``below`` where an interval excludes zero, else ``unclear``."""
    return "above" if low > 0 else "below" if high < 0 else "unclear"
