"""CVQA (Romero et al., 2024, arXiv 2406.05967) as Meta CLIP 2 asks it (Chuang et al., 2025, arXiv 2507.22062).

Every photograph has questions by native speakers in their language and in English, each with four answers. A CLIP is
shown the question and an answer as one sentence; the closest of the four is its answer.

    english    share of right answers, question and answers in English
    native     the same in the language of the people who asked
    ..., no picture    the answer whose text is closest to that of the question

Meta CLIP 2 gives a tie to the first option; here it shares the credit.
"""

import re

from cultureclip.benchmarks.asking.questions import NO_PICTURE
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.items import Question
from cultureclip.benchmarks.protocols.multiple_choice import (
    Collected,
    MultipleChoiceBenchmark,
    about,
    pose,
    read_choices,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.rows import IMAGE, Intake, Taken, text_of, without_image

SALT = "cvqa"
"""Part of every item's id; another salt would give the same items other ids."""
WORDINGS = {"english": ("Translated Question", "Translated Options"), "native": ("Question", "Options")}
"""Metric -> columns of the question and of its answers."""
_SUBSET = re.compile(r"""\(\s*(['"])(?P<language>.+?)\1\s*,\s*(['"])(?P<country>.+?)\3\s*\)""")


def country_of(subset: str) -> str:
    """Return the country of a subset, which CVQA writes as ``('Javanese', 'Indonesia')``."""
    found = _SUBSET.fullmatch(subset)
    return found["country"] if found else subset


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CVQA. Columns: those of the owner's table; ``Subset`` and ``Category`` may be missing."""
    collected = Collected(list(intake.left_out))
    for row in intake.rows:
        image = row.image(IMAGE)
        if image is None:
            collected.left_out += without_image(row)
            continue
        of = about(image, cluster=image, culture=country_of(text_of(row, "Subset")), category=text_of(row, "Category"))
        for metric in WORDINGS:
            collected.take(f"{row.place}, {metric}", _ask(metric, row, of))
    return collected.build(declaration, intake)


def _ask(metric: str, row: Taken, of: Question) -> Question | str:
    """Return the question in one wording, or the reason why it cannot be asked."""
    question, options = WORDINGS[metric]
    return pose(metric, SALT, text_of(row, question), read_choices(row, options), _label(row), of)


def _label(row: Taken) -> object:
    """Return the number of the right answer; a CSV holds it as text, and answers may be numbers too."""
    label = row.values.get("Label")
    return int(label) if isinstance(label, str) and label.isdecimal() else label


PROTOCOL = Protocol(
    question="Which answer to a question about the picture is right?",
    benchmark=MultipleChoiceBenchmark,
    build=build,
    columns=(IMAGE, "Question", "Translated Question", "Options", "Translated Options", "Label", "Subset", "Category"),
    lists=("Options", "Translated Options"),
    metrics=(*WORDINGS, *(f"{metric}{NO_PICTURE}" for metric in WORDINGS)),
)
