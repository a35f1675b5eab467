"""The pocket benchmarks are made from real drawings and honour twins, flags and culture lists."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks.pocket import collect_pocket, culture_benchmarks, read_reference, read_references
from cultureclip.concepts.emoji import list_emoji, render, split_emoji
from cultureclip.errors import SourceDataError
from tests.benchmarks.conftest import make_concepts, make_twins

EDGE = 24


@pytest.fixture(scope="module")
def twins(flags: pd.DataFrame) -> pd.DataFrame:
    return make_twins(
        flags,
        [
            ("flag of ML", "flag of GN", ""),
            ("flag of IE", "flag of CI", ""),
            ("flag of TD", "flag of RO", "indistinguishable"),
        ],
    )


@pytest.fixture(scope="module")
def benchmarks(flags: pd.DataFrame, twins: pd.DataFrame) -> dict:
    return {b.name: b for b in collect_pocket(flags, twins, EDGE)}


def test_grounding_asks_only_where_a_region_has_four_concepts(benchmarks: dict) -> None:
    questions = benchmarks["globalrg-grounding"].questions
    assert sorted(q.options[0] for q in questions) == [
        f"The item in the picture is {name} in Japan" for name in ("flag of JP", "kimono", "sushi", "torii")
    ]
    assert benchmarks["globalrg-grounding"].card()["left_out"] == {"region has fewer than four concepts": 8}


def test_retrieval_never_offers_a_region_whose_drawing_is_the_same(benchmarks: dict) -> None:
    by_right = {q.options[0]: q.options[1:] for q in benchmarks["globalrg-retrieval"].questions}
    assert len(by_right) == 7
    assert "The picture depicts a kind of flag in Romania" not in by_right["The picture depicts a kind of flag in Chad"]
    assert "The picture depicts a kind of flag in Chad" not in by_right["The picture depicts a kind of flag in Romania"]


def test_crope_takes_accepted_twins_both_ways(benchmarks: dict, flags: pd.DataFrame) -> None:
    questions = benchmarks["crope"].questions
    assert {q.options for q in questions} == {
        tuple(f"There is {name} in the image." for name in pair)
        for a, b in (("flag of ML", "flag of GN"), ("flag of IE", "flag of CI"))
        for pair in ((a, b), (b, a))
    }
    pictures = read_references(flags, EDGE)
    names = dict(zip(flags["concept_id"], flags["name"], strict=True))
    for question in questions:
        assert question.options[0] == f"There is {names[question.cluster]} in the image."
        np.testing.assert_array_equal(benchmarks["crope"].images[question.image], pictures[question.cluster])


def test_general_retrieval_holds_only_the_held_out_tenth(benchmarks: dict, flags: pd.DataFrame) -> None:
    general = benchmarks["general-retrieval"]
    roles = split_emoji(list_emoji(), {r.removeprefix("emoji:") for r in flags["reference_image"]})
    held = [e for e in list_emoji() if roles[e.char] == "held_out"]
    assert {c.family for c in general.items} == {e.family for e in held}
    assert 1.9 * len(held) < len(general.images) <= 2 * len(held)
    assert all(text.startswith("a picture of ") for text in general.texts)
    assert f"a picture of {held[0].name}" in general.texts


def test_the_hash_follows_the_data(flags: pd.DataFrame, twins: pd.DataFrame, benchmarks: dict) -> None:
    pictures = read_references(flags, EDGE)
    shuffled = culture_benchmarks(flags.sample(frac=1, random_state=0), twins.iloc[::-1], pictures)
    assert [b.data_hash for b in shuffled] == [benchmarks[b.name].data_hash for b in shuffled]
    fewer = culture_benchmarks(flags, twins.iloc[1:], pictures)
    assert fewer[2].data_hash != benchmarks["crope"].data_hash


def test_concepts_without_a_picture_are_counted(flags: pd.DataFrame, twins: pd.DataFrame) -> None:
    blind = flags.assign(reference_image=flags["reference_image"].where(flags["name"] != "flag of ML", None))
    grounding, _, crope = culture_benchmarks(blind, twins, read_references(blind, EDGE))
    assert grounding.card()["left_out"]["concept has no held-out picture"] == 1
    assert crope.card()["left_out"] == {"concept has no held-out picture": 1}
    assert len(crope.questions) == 2


def test_a_benchmark_about_which_nothing_can_be_asked_says_so() -> None:
    concepts = make_concepts([("kimono", "JP", "garment", "emoji:👘")])
    crope = culture_benchmarks(concepts, make_twins(concepts, []), read_references(concepts, EDGE))[2]
    assert (crope.questions, crope.texts, crope.card()["items"]) == ((), [], 0)


def test_reference_images_may_be_files(tmp_path: Path) -> None:
    pixels = render("👘", "openmoji", 40)
    Image.fromarray(pixels).save(tmp_path / "k.png")
    np.testing.assert_array_equal(read_reference(str(tmp_path / "k.png"), EDGE), pixels)


@pytest.mark.parametrize("content", [None, b"", b"not an image", "truncated"])
def test_an_unreadable_reference_is_named(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "k.png"
    if content == "truncated":
        Image.fromarray(render("👘", "openmoji", 40)).save(path)
        path.write_bytes(path.read_bytes()[:300])
    elif content is not None:
        path.write_bytes(content)  # type: ignore[arg-type]
    with pytest.raises(SourceDataError, match=r"k\.png"):
        read_reference(str(path), EDGE)
