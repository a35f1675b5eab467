"""CIDEr-D against sums written out over a whole vocabulary, and what its definition promises."""

import numpy as np
import pytest

from cultureclip.benchmarks.asking.captions import CIDER, score_caption
from cultureclip.benchmarks.asking.cider import Cider

REFERENCES = {
    "p": ["a gate of red wood", "a red gate stands in the water"],
    "q": ["two people dance in red", "a dance"],
    "r": ["a bowl of noodles with an egg", "noodles in a bowl with egg and a red chilli"],
}


def naive(text: str, own: list[str], corpus: dict[str, list[str]]) -> float:
    """The definition with dense vectors over every n-gram of the corpus and the caption."""

    def grams(words: list[str], n: int) -> list[str]:
        return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]

    total = 0.0
    for n in (1, 2, 3, 4):
        said = {picture: {g for t in texts for g in grams(t.split(), n)} for picture, texts in corpus.items()}
        vocabulary = sorted({g for found in said.values() for g in found} | set(grams(text.split(), n)))
        df = np.array([max(1, sum(g in found for found in said.values())) for g in vocabulary])

        def vector(one: str, n=n, vocabulary=vocabulary, df=df) -> np.ndarray:
            listed = grams(one.split(), n)
            return np.array([listed.count(g) for g in vocabulary]) * np.log(len(corpus) / df)

        for reference in own:
            c, s = vector(text), vector(reference)
            length = len(text.split()) - len(reference.split())
            if np.linalg.norm(c) and np.linalg.norm(s):
                cosine = np.minimum(c, s) @ s / np.linalg.norm(c) / np.linalg.norm(s)
                total += np.exp(-(length**2) / 72) * cosine / len(own)
    return total / 4


@pytest.mark.parametrize(
    "text",
    [
        "a red gate of wood in the water",
        "two people dance in red",
        "noodles noodles noodles",
        "an egg with an egg with an egg and an unheard of thing",
        "gate",
        "",
    ],
)
def test_it_is_the_definition(text):
    cider = Cider(REFERENCES)
    for own in REFERENCES.values():
        assert cider.score(text, own) == pytest.approx(naive(text, own, REFERENCES), abs=1e-12)


def test_the_only_reference_scores_1_and_what_all_pictures_share_scores_nothing():
    corpus = {"p": ["a gate of red wood"], "q": ["two people dance in the red light"]}
    cider = Cider(corpus)
    assert cider.score("A gate, of red wood.", corpus["p"]) == pytest.approx(1)
    assert cider.score("red", corpus["p"]) == 0, "both pictures are red"
    assert cider.score("gate wood", corpus["p"]) < cider.score("a gate of wood", corpus["p"]) < 1


def test_repeating_a_word_does_not_raise_it():
    cider = Cider(REFERENCES)
    once, often = (cider.score(text, REFERENCES["p"]) for text in ("a gate by here", "gate gate gate gate"))
    assert often < once


def test_a_caption_that_does_not_count_scores_0_and_without_references_there_is_no_figure():
    cider = Cider(REFERENCES)
    assert score_caption("", "", REFERENCES["p"], cider)[CIDER] == 0
    assert score_caption("a gate", "", (), cider) == {}
    assert CIDER not in score_caption("a gate", "", REFERENCES["p"])
