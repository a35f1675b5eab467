"""The page of a preview and its estimate."""

import random
from html.parser import HTMLParser

import pytest

from cultureclip.report.estimate import project
from cultureclip.report.preview import Preview, Shown
from tests.support.report_data import HOSTILE


class Parser(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def page(**changes) -> str:
    shown = {
        "title": "kimono",
        "prompt": (("system", "Write."), ("user", "Name: kimono")),
        "answer": "Caption: a kimono",
        "parsed": "a kimono",
        "verdict": "accepted",
        "accepted": True,
        "reason": None,
    }
    figures = [project("questions", [1, 2], 10)]
    preview = Preview("captioning", "concepts", 2, 10, figures, [Shown(**shown | changes)], [("Model", HOSTILE)])
    return dict(preview.files())["index.html"].decode()


def test_hostile_text_is_text_wherever_it_stands():
    plain = Parser(page())
    hostile = Parser(
        page(title=HOSTILE, prompt=((HOSTILE, HOSTILE),) * 2, answer=HOSTILE, parsed=HOSTILE, reason=HOSTILE)
    )
    assert "script" not in plain.tags + hostile.tags
    assert set(hostile.tags) <= set(plain.tags)
    assert not {name for name in hostile.attributes if name.startswith("on")}
    assert "&lt;script&gt;" in page(answer="<script>alert(1)</script>")


def test_what_failed_is_shown_with_its_reason():
    text = page(verdict="failed", accepted=False, reason="cut off after 28 tokens", parsed=None)
    assert text.count("cut off after 28 tokens") == 2  # in the counts and at the question
    assert "nothing could be read" in text


def test_the_estimate_of_all_items_is_exact():
    figure = project("questions", [3, 1, 2], 3)
    assert (figure.seen, figure.whole, figure.low, figure.high) == (6, 6, 6, 6)


def test_one_item_says_nothing_of_the_spread():
    assert project("questions", [3], 5).low is None
    assert project("questions", [3], 1).low == 3


@pytest.mark.parametrize(("seen", "total"), [(20, 100), (30, 40)])
def test_the_interval_covers_what_the_whole_takes(seen, total):
    """Of samples from populations of tries, about 95 % of the intervals hold the true sum."""
    rng, hits = random.Random(5), 0
    for _ in range(400):
        whole = [rng.choice((1, 1, 1, 2, 2, 3, 8)) for _ in range(total)]
        figure = project("questions", whole[:seen], total)
        hits += figure.low <= sum(whole) <= figure.high
    assert 0.88 < hits / 400 < 0.99


@pytest.mark.parametrize(
    ("seconds", "said"), [(119.0, "119.0 seconds"), (120.0, "2 min"), (3599.0, "1 h 0 min"), (150_000.0, "41 h 40 min")]
)
def test_long_times_are_said_as_a_clock_has_them(seconds, said):
    assert project("images", [1], 1).times(seconds, "time", "seconds", 1).say() == said
