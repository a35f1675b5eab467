"""CulFiT's knowledge units (arXiv 2505.19484): what an answer states, against what is known.

An answer is cut into units, each one fact in one sentence. Precision is the share of its m units that the n known units
support; recall the share of the known units that the answer's units cover; F1 their harmonic mean, as the paper's
equations 8 to 12 have them. The released scorer adds languages, group and topic as further units, counts languages of
the wrong side in recall (which can exceed 1) and takes "Yes" anywhere in a judgement. Here a judgement must begin with
yes or no; a unit whose judgement does not is in no share, and is counted.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cultureclip.audit.measures.intervals import estimate_mean
from cultureclip.models.chat.request import Structured
from cultureclip.statistics import Estimate

MOST_UNITS = 50
"""Most units of an answer that are judged: one that lists more states nothing."""
_FIRST_WORD = re.compile(r"\W*(?P<word>\w+)")


class KnowledgeUnits(Structured):
    """Units of an answer as a model writes them.

    Attributes:
        knowledge_points: The units, each a sentence.
    """

    knowledge_points: list[str]

    @property
    def units(self) -> tuple[str, ...]:
        """The units without empty and repeated ones, at most MOST_UNITS."""
        return tuple(dict.fromkeys(unit.strip() for unit in self.knowledge_points if unit.strip()))[:MOST_UNITS]


@dataclass(frozen=True)
class UnitScores:
    """Scores of an answer; None where nothing could be judged.

    Attributes:
        precision: Share of the answer's judged units that are supported.
        recall: Share of the judged known units that are covered.
    """

    precision: float | None
    recall: float | None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; an answer without units covers nothing, so its F1 is 0."""
        if self.recall is None:
            return None
        if self.precision is None:
            return 0.0 if self.recall == 0 else None
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def score_units(supported: Sequence[bool | None], covered: Sequence[bool | None]) -> UnitScores:
    """Score an answer by its judged units.

    Args:
        supported: Of each unit of the answer whether the known units support it; None if the judge did not say.
        covered: Of each known unit whether the answer covers it; None if the judge did not say. An answer without units
            covers none, and nobody need be asked.
    """
    return UnitScores(_share(supported), _share(covered) if supported else 0.0 if covered else None)


def parse_judgement(text: str) -> bool | None:
    """Read a judgement by its first word, yes or no; None if that is another word."""
    found = _FIRST_WORD.match(unicodedata.normalize("NFKC", text))
    return None if found is None else {"yes": True, "no": False}.get(found["word"].lower())


def estimate_score(scores: Sequence[float | None], groups: Sequence[str]) -> Estimate | None:
    """Return the mean score over answers with its interval over groups; None where no answer has a score."""
    known = [(score, group) for score, group in zip(scores, groups, strict=True) if score is not None]
    if not known:
        return None
    values, clusters = zip(*known, strict=True)
    return estimate_mean(np.array(values, float), np.array(clusters))


def _share(judged: Sequence[bool | None]) -> float | None:
    known = [one for one in judged if one is not None]
    return sum(known) / len(known) if known else None
