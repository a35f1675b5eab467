import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from cultureclip.judging.panel import combine_reasons, to_verdicts
from cultureclip.judging.settings import Panel, PanelSettings

IDS = pd.Series([f"{i:020x}" for i in range(6)], index=[3, 1, 4, 15, 9, 2])
CLIP = [None, "closer_to_twin", None, "no_better_than_chance", "unreadable", None]
RATED = [None, None, "lowest_rating", "low_mean_rating", "unreadable", "not_rated"]


def settings(*decide: str, combine: str = "all") -> PanelSettings:
    rater = {
        "model": {"servers": ["http://127.0.0.1:1/v1"], "model": "m", "revision": "r"},
        **{"max_new_tokens": 9, "temperature": 0, "top_p": 1, "seed": 0, "tries": 1},
    }
    return PanelSettings(
        judges={"decide": decide, "combine": combine}, twin_margin=0, chance_margin=0, vision_language=rater
    )


def opinions() -> pd.DataFrame:
    """Opinions in another order than the images: what belongs together says its id, not its place."""
    rows = [
        {"image_id": image, "judge": judge, "reason": reason}
        for judge, reasons in (("vision_language", RATED), ("clip", CLIP))
        for image, reason in zip(IDS, reasons, strict=True)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


@pytest.mark.parametrize(
    ("combine", "order", "wanted"),
    [
        (
            "all",
            ("clip", "vision_language"),
            [None, "closer_to_twin", "lowest_rating", "no_better_than_chance", "unreadable", "not_rated"],
        ),
        (
            "all",
            ("vision_language", "clip"),
            [None, "closer_to_twin", "lowest_rating", "low_mean_rating", "unreadable", "not_rated"],
        ),
        ("any", ("clip", "vision_language"), [None, None, None, "no_better_than_chance", "unreadable", None]),
        ("all", ("clip",), CLIP),
        ("any", ("vision_language",), RATED),
    ],
)
def test_opinions_combine_as_the_panel_says(combine, order, wanted):
    found = combine_reasons(opinions(), IDS, settings(*order, combine=combine))
    assert found.index.tolist() == IDS.index.tolist()
    assert [None if pd.isna(reason) else reason for reason in found] == wanted


def test_what_says_nothing_about_the_content_is_a_failure():
    assert to_verdicts(pd.Series([None, "unreadable", "not_rated", "lowest_rating"], dtype=object)).tolist() == [
        "accepted",
        "failed",
        "failed",
        "rejected",
    ]


@pytest.mark.parametrize("decide", [(), ("clip", "clip"), ("clop",)])
def test_a_panel_of_nobody_of_one_twice_or_of_a_stranger_is_refused(decide):
    with pytest.raises(ValidationError):
        Panel(decide=decide, combine="all")


def test_a_rater_that_decides_must_be_described():
    with pytest.raises(ValidationError, match="vision_language does not say which model"):
        PanelSettings(judges={"decide": ["vision_language"], "combine": "all"}, twin_margin=0, chance_margin=0)


def test_no_opinion_is_lost_for_no_image():
    empty = opinions().iloc[:0]
    found = combine_reasons(empty, IDS.iloc[:0], settings("clip"))
    assert found.empty
    assert isinstance(to_verdicts(found), np.ndarray)


@pytest.mark.parametrize("combine", ["all", "any"])
def test_combining_equals_a_loop_over_images_and_judges(combine):
    rng = np.random.default_rng(3)
    names = ("clip", "vision_language", "distinct")
    ids = pd.Series([f"{i:020x}" for i in rng.permutation(300)])
    said = {name: rng.choice([None, None, f"{name} a", f"{name} b"], len(ids)) for name in names}
    rows = [pd.DataFrame({"image_id": ids, "judge": name, "reason": said[name]}) for name in names]
    found = combine_reasons(pd.concat(rows).sample(frac=1, random_state=1), ids, settings(*names, combine=combine))
    for place in range(len(ids)):
        reasons = [said[name][place] for name in names]
        against = [reason for reason in reasons if reason is not None]
        is_refused = len(against) == len(names) if combine == "any" else bool(against)
        assert found[place] == against[0] if is_refused else found[place] is None
