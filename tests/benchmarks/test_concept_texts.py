"""Sentences from fields of the table of concepts: hand-written values, and templates that are refused."""

from typing import Any

import pandas as pd
import pytest

from cultureclip.benchmarks.concept_texts import check_template, describe_concept
from cultureclip.benchmarks.pocket import NO_TEXT, culture_benchmarks
from cultureclip.benchmarks.references import read_references
from tests.benchmarks.conftest import make_twins

KIMONO: dict[Any, Any] = {
    "name": "kimono",
    "universal": "garment",
    "category": "Clothing",
    "cultures": ["JP"],
    "context": "A robe {worn} at weddings.",
    "key_visual_features": ["wide sleeves", "a sash", "patterned silk"],
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("There is {name} in the image.", "There is kimono in the image."),
        ("{name} with {key_visual_features}", "kimono with wide sleeves, a sash, patterned silk"),
        ("{key_visual_features:2}", "wide sleeves, a sash"),
        ("a {universal} of {cultures}: {context}", "a garment of Japan: A robe {worn} at weddings."),
        ("{{{name}}}", "{kimono}"),
    ],
)
def test_a_template_is_filled_from_the_row(template: str, text: str) -> None:
    assert describe_concept(KIMONO, check_template(template)) == text


@pytest.mark.parametrize("field", ["key_visual_features", "cultures"])
def test_a_row_without_the_field_has_no_text(field: str) -> None:
    assert describe_concept(KIMONO | {field: []}, f"{{name}} {{{field}}}") is None


@pytest.mark.parametrize(
    ("template", "cause"),
    [
        ("a picture", "names no field"),
        ("{nmae}", "no field 'nmae'"),
        ("{name.__class__}", "no field"),
        ("{name!r}", "only a number"),
        ("{name:>9}", "only a number"),
        ("{key_visual_features:0}", "only a number"),
        ("{name", "expected '}'"),
        ("{}", "no field ''"),
    ],
)
def test_other_templates_are_refused(template: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        check_template(template)


def test_twin_scores_ask_with_the_template_and_count_what_it_cannot_ask(flags: pd.DataFrame) -> None:
    twins = make_twins(flags, [("flag of ML", "flag of GN", ""), ("flag of IE", "flag of CI", "")])
    features = [["green", "gold"] if name == "flag of ML" else ["red"] for name in flags["name"]]
    described = flags.assign(key_visual_features=features)
    pictures = read_references(flags, 16)
    (named,) = culture_benchmarks(described, twins, pictures, ["twin-scores"])
    (asked,) = culture_benchmarks(
        described, twins, pictures, ["twin-scores"], twin_text="{name}: {key_visual_features}"
    )
    assert set(asked.texts) == {"flag of ML: green, gold", "flag of GN: red", "flag of IE: red", "flag of CI: red"}
    assert asked.data_hash != named.data_hash
    (alone,) = culture_benchmarks(described, twins, pictures, ["twin-scores"], twin_text="{key_visual_features}")
    assert set(alone.texts) == {"green, gold", "red"}
    assert alone.card()["left_out"] == {NO_TEXT: 1}
