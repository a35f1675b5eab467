"""CIDEr-D (Vedantam et al., 2015, arXiv 1411.5726): how much a caption says of what people say of its picture alone.

For n-grams of 1 to 4 words, g(s) is the vector of count(k) * log(N / df(k)), with N pictures and df(k) of them whose
captions by people have the n-gram k. With m captions s_j by people of the picture,

    CIDEr-D_n(c) = 1/m sum_j exp(-(l(c) - l(s_j))^2 / (2 * 6^2)) * min(g(c), g(s_j)) . g(s_j) / (|g(c)| |g(s_j)|)

and CIDEr-D is their mean over n. The usual code multiplies by 10; here it stays in [0, 1].
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

LONGEST, SIGMA = 4, 6.0
"""Words of the longest n-gram, and the deviation of lengths in words that costs a caption a factor of e^-1/2."""
_WORD = re.compile(r"\w+")
Vector = dict[tuple[str, ...], float]


class Cider:
    """Scores captions of pictures that belong to one set.

    Args:
        references: Picture -> its captions by people; the pictures are the N of the formula.
    """

    def __init__(self, references: Mapping[str, Sequence[str]]) -> None:
        self._pictures = len(references)
        self._frequency: Counter[tuple[str, ...]] = Counter()
        for captions in references.values():
            self._frequency.update({gram for text in captions for n in _LENGTHS for gram in _grams(_words(text), n)})

    def score(self, text: str, references: Sequence[str]) -> float:
        """Return CIDEr-D of a caption, in [0, 1].

        Args:
            text: The caption; one without a word scores 0.
            references: Captions by people of its picture, at least one.
        """
        own = _words(text)
        total = 0.0
        for reference in map(_words, references):
            penalty = math.exp(-((len(own) - len(reference)) ** 2) / (2 * SIGMA**2))
            total += penalty * sum(_clipped_cosine(self._weigh(own, n), self._weigh(reference, n)) for n in _LENGTHS)
        return total / (LONGEST * len(references))

    def _weigh(self, words: Sequence[str], n: int) -> Vector:
        counts = Counter(_grams(words, n))
        return {k: count * math.log(self._pictures / max(1, self._frequency[k])) for k, count in counts.items()}


_LENGTHS = range(1, LONGEST + 1)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _clipped_cosine(own: Vector, other: Vector) -> float:
    """Return min(a, b) . b / (|a| |b|); 0 where a vector is 0."""
    norms = math.hypot(*own.values()) * math.hypot(*other.values())
    return sum(min(own[k], other[k]) * other[k] for k in own.keys() & other.keys()) / norms if norms else 0.0
