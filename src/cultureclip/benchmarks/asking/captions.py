"""How good a caption is: whether it names the picture's region, and how much it shares with captions by people."""

import re
from collections.abc import Sequence

from cultureclip.benchmarks.asking.cider import Cider
from cultureclip.captions.cultures import names_culture
from cultureclip.concepts.countries import find_country

REGION, ROUGE, CIDER = "region", "ROUGE-L", "CIDEr"
_OWN = {"Korea": ("KR",)}
"""RAVENEA's names of regions that could be several."""
_WORD = re.compile(r"\w+")


def score_caption(text: str, culture: str, references: Sequence[str], cider: Cider | None = None) -> dict[str, float]:
    """Score a caption.

    Args:
        text: The caption; empty if there is none, which scores 0.
        culture: Region of the picture.
        references: Captions by people.
        cider: Of all pictures that captions are asked of; None: it is not computed.

    Returns:
        ``region``: 1 if it names the region as its owner does, or the region or its people as
        :mod:`cultureclip.captions.region_score` finds them, in whole words; absent without a region. ``ROUGE-L``: see
        :func:`rouge_l`; absent without references. ``CIDEr``: see :mod:`.cider`; likewise.
    """
    scores: dict[str, float] = {}
    if culture:
        codes = find_country(culture, _OWN).codes
        as_written = re.search(rf"\b{re.escape(culture)}\b", text) is not None
        scores[REGION] = float(as_written or any(names_culture(text, code) for code in codes))
    if references:
        scores[ROUGE] = max(rouge_l(text, reference) for reference in references)
    if references and cider is not None:
        scores[CIDER] = cider.score(text, references)
    return scores


def rouge_l(text: str, reference: str) -> float:
    """Return the F-measure of the longest common subsequence of words (Lin, 2004, ACL W04-1013), in [0, 1].

    2 p r / (p + r) with p = length / words of the text, r = length / words of the reference. Case does not count, and
    words are not stemmed.
    """
    own, theirs = (_WORD.findall(words.casefold()) for words in (text, reference))
    row = [0] * (len(theirs) + 1)
    for word in own:
        before = row
        row = [0]
        for place, other in enumerate(theirs):
            row.append(before[place] + 1 if word == other else max(row[place], before[place + 1]))
    return 2 * row[-1] / (len(own) + len(theirs)) if row[-1] else 0.0
