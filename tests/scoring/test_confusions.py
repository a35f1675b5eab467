"""Confusions against a count by hand."""

import numpy as np
import pandas as pd

from cultureclip.scoring.confusions import BROKEN, FIXED, count_confusions, read_confusions
from cultureclip.tables import CONFUSIONS
from tests.support.predictions import label

COLUMNS = ["model", "item_id", "options", "scores", "predicted", "correct", "image"]


def table(rows: list[tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return label(frame).assign(benchmark="crope", cluster="c", part="test", culture="", category="")


def answer(model: str, item: str, right: float, wrong: float, options: tuple[str, str] = ("Chad", "Romania")) -> tuple:
    credit = 0.5 if right == wrong else float(right > wrong)
    return (model, f"accuracy:{item}", [*options], [right, wrong], int(wrong > right), credit, f"picture {item}")


def test_counts_margins_and_examples_are_those_of_a_hand_count() -> None:
    predictions = table(
        [
            answer("base", "1", 0.1, 0.3),
            answer("ours_s1", "1", 0.5, 0.3),
            answer("ours_s2", "1", 0.4, 0.2),
            answer("base", "2", 0.1, 0.2),
            answer("ours_s1", "2", 0.9, 0.2),
            answer("ours_s2", "2", 0.1, 0.2),
            answer("base", "3", 0.6, 0.2),
            answer("ours_s1", "3", 0.6, 0.2),
            answer("ours_s2", "3", 0.1, 0.2),
            answer("base", "4", 0.2, 0.2),
            answer("ours_s1", "4", 0.3, 0.2),
            answer("ours_s2", "4", 0.1, 0.2),
        ]
    )
    found = count_confusions(predictions, "plain")
    CONFUSIONS.validate(found)
    (fixed,) = read_confusions(found, "ours", "test", FIXED)
    assert (fixed.right, fixed.wrong, fixed.n, fixed.asked) == ("Chad", "Romania", 3, 8)
    assert fixed.items == ("accuracy:2", "accuracy:1")  # the larger change of margin first
    assert fixed.images == ("picture 2", "picture 1")
    np.testing.assert_allclose([fixed.base_margin, fixed.model_margin], [(-0.2 - 0.2 - 0.1) / 3, (0.2 + 0.2 + 0.7) / 3])
    (broken,) = read_confusions(found, "ours", "test", BROKEN)
    assert (broken.n, broken.items) == (1, ("accuracy:3",))


def test_retrieved_lists_and_questions_about_texts_are_no_confusions() -> None:
    listed = table(
        [
            ("base", "R@5:1", ["a", "b"], [0.3, 0.2], 0, 0.0, "picture"),
            ("ours_s1", "R@5:1", ["b", "a"], [0.3, 0.2], 0, 1.0, "picture"),
            ("base", "R@1:t", ["x", "y"], [0.1, 0.2], 1, 0.0, ""),
            ("ours_s1", "R@1:t", ["x", "y"], [0.3, 0.2], 0, 1.0, ""),
        ]
    )
    found = count_confusions(listed, "plain")
    CONFUSIONS.validate(found)
    assert found.empty


def test_questions_whose_options_are_pictures_have_no_names_and_are_no_confusions() -> None:
    def decided(model: str, metric: str, options: list[str], correct: float) -> tuple:
        return (model, f"{metric}:1", options, [0.1, 0.2][:: -1 if correct else 1], int(not correct), correct, "own")

    by_text, by_picture = ["a kimono", "a hanbok"], ["own", "other"]
    for wrong_about, expected in ((by_text, [("a kimono", "a hanbok", 1, 1)]), (by_picture, [])):
        predictions = table([decided("base", "group", wrong_about, 0.0), decided("ours", "group", by_picture, 1.0)])
        found = count_confusions(predictions, "plain")
        assert list(found[["right", "wrong", "n", "asked"]].itertuples(index=False, name=None)) == expected


def test_a_wrong_option_that_the_other_model_does_not_list_has_no_margin_there() -> None:
    predictions = table(
        [
            ("base", "top-1:1", ["kimono", "hanbok"], [0.1, 0.2], 1, 0.0, "p"),
            ("ours_s1", "top-1:1", ["kimono", "sari"], [0.3, 0.2], 0, 1.0, "p"),
        ]
    )
    (found,) = read_confusions(count_confusions(predictions, "plain"), "ours", "test", FIXED)
    assert (found.right, found.wrong) == ("kimono", "hanbok")
    assert np.isnan(found.model_margin)
    assert found.base_margin == -0.1


def test_the_most_frequent_confusion_comes_first() -> None:
    rows = []
    for item, options in (("1", ("a", "b")), ("2", ("c", "d")), ("3", ("c", "d"))):
        rows += [answer("base", item, 0.1, 0.2, options), answer("siglip", item, 0.2, 0.1, options)]
    found = read_confusions(count_confusions(table(rows), "plain"), "siglip", "test", FIXED)
    assert [(c.right, c.n) for c in found] == [("c", 2), ("a", 1)]
