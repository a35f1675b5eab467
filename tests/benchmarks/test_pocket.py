"""The pocket benchmarks are made from real drawings and honour twins, flags and culture lists."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.benchmarks import pocket
from cultureclip.benchmarks.pocket import OWN_LICENCE, collect_pocket, culture_benchmarks
from cultureclip.benchmarks.protocols.benchmark import Embeddings
from cultureclip.benchmarks.protocols.items import metric_of, part_of, picture_key
from cultureclip.benchmarks.references import read_reference, read_references
from cultureclip.concepts.general_pairs import list_general_pairs
from cultureclip.errors import SourceDataError
from cultureclip.pictures.emoji import LICENCES, STYLES, list_emoji, render, split_emoji
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
    right = [f"The item in the picture is {name} in Japan" for name in ("flag of JP", "kimono", "sushi", "torii")]
    for metric in ("accuracy", "accuracy_all"):
        assert sorted(q.options[0] for q in questions if metric_of(q.item_id) == metric) == right
    assert {(q.culture, q.category) for q in questions} == {("Japan", "Symbol")}
    assert benchmarks["globalrg-grounding"].card()["items"] == 4
    assert benchmarks["globalrg-grounding"].card()["left_out"] == {"region has fewer than four concepts": 8}


def test_retrieval_never_offers_a_region_whose_drawing_is_the_same(benchmarks: dict) -> None:
    template = "The picture depicts a kind of flag in {}"
    for metric, wrong in (("accuracy", 3), ("accuracy_all", 5)):
        questions = [q for q in benchmarks["globalrg-retrieval"].questions if metric_of(q.item_id) == metric]
        by_right = {q.options[0]: q.options[1:] for q in questions}
        assert len(by_right) == 7
        assert template.format("Romania") not in by_right[template.format("Chad")]
        assert template.format("Chad") not in by_right[template.format("Romania")]
        assert len(by_right[template.format("Chad")]) == wrong


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
        assert question.options == tuple(f"There is {name} in the image." for name in question.names)
        assert question.names[0] == names[question.cluster]
        np.testing.assert_array_equal(benchmarks["crope"].images[question.image], pictures[question.cluster])


def test_general_retrieval_holds_only_the_held_out_tenth(benchmarks: dict, flags: pd.DataFrame) -> None:
    general = benchmarks["general-retrieval"]
    roles = split_emoji(list_emoji(), {r.removeprefix("emoji:") for r in flags["reference_image"]})
    held = [e for e in list_emoji() if roles[e.char] == "held_out"]
    assert {c.family for c in general.items} == {e.family for e in held}
    assert 1.9 * len(held) < len(general.images) <= 2 * len(held)
    assert all(text.startswith("a picture of ") for text in general.texts)
    assert f"a picture of {held[0].name}" in general.texts


def test_general_known_is_what_may_be_seen_and_is_never_replayed(benchmarks: dict, flags: pd.DataFrame) -> None:
    known = benchmarks["general-known"]
    chars = {r.removeprefix("emoji:") for r in flags["reference_image"]}
    roles = split_emoji(list_emoji(), chars)
    general = {e.family for e in list_emoji() if roles[e.char] == "general"}
    shown = set(list_general_pairs("emoji", 10_000, flags)["picture"].str.partition(":")[2])
    replayed = {e.family for e in list_emoji() if e.char in shown}
    asked = {item.family for item in known.items}
    assert not replayed & asked
    drawn = {picture_key(render(char, style, EDGE)) for char in shown for style in STYLES}
    assert not drawn & set(known.images), "a picture that is drawn alike is the same picture"
    alike = {
        e.family
        for e in list_emoji()
        if roles[e.char] == "general" and all(picture_key(render(e.char, style, EDGE)) in drawn for style in STYLES)
    }
    assert replayed | asked | alike == general
    for part in ("dev", "test"):
        assert len({item.family for item in known.items if item.part == part}) > 100
    assert not {i.family for i in known.items if i.part == "dev"} & {i.family for i in known.items if i.part == "test"}


def test_the_hash_follows_the_data(flags: pd.DataFrame, twins: pd.DataFrame, benchmarks: dict) -> None:
    pictures = read_references(flags, EDGE)
    shuffled = culture_benchmarks(flags.sample(frac=1, random_state=0), twins.iloc[::-1], pictures)
    assert [b.data_hash for b in shuffled] == [benchmarks[b.name].data_hash for b in shuffled]
    fewer = culture_benchmarks(flags, twins.iloc[1:], pictures)
    assert fewer[2].data_hash != benchmarks["crope"].data_hash


def test_concepts_without_a_picture_are_counted(flags: pd.DataFrame, twins: pd.DataFrame) -> None:
    blind = flags.assign(reference_image=flags["reference_image"].where(flags["name"] != "flag of ML", None))
    grounding, _, crope, _, scores = culture_benchmarks(blind, twins, read_references(blind, EDGE))
    assert grounding.card()["left_out"]["concept has no held-out picture"] == 1
    assert crope.card()["left_out"] == {"concept has no held-out picture": 1}
    assert scores.card()["left_out"] == {"concept has no held-out picture": 1}
    assert (crope.card()["items"], scores.card()["items"]) == (2, 1)


def test_twin_scores_ask_about_both_pictures_of_a_twin(benchmarks: dict, flags: pd.DataFrame) -> None:
    pictures = {f"There is {n} in the image.": p for n, p in zip(flags["name"], _pictures(flags), strict=True)}
    twins = benchmarks["twin-scores"].twins
    assert len(twins) == 2
    for twin in twins:
        for image, text in zip(twin.images, twin.texts, strict=True):
            np.testing.assert_array_equal(benchmarks["twin-scores"].images[image], pictures[text])
    assert len({twin.cluster for twin in twins}) == 2


def test_culture_questions_say_what_the_table_says(benchmarks: dict, flags: pd.DataFrame) -> None:
    questions = benchmarks["culture-questions"].questions
    # The context of the test's concepts is the same for all: there is nothing wrong to offer.
    assert {metric_of(q.item_id) for q in questions} == {"recognition", "scene"}
    chad = next(q for q in questions if q.options[0] == "This is flag of TD.")
    assert chad.cluster == flags.loc[flags["name"] == "flag of TD", "concept_id"].item()
    assert "This is flag of RO." not in chad.options  # drawn alike


def test_a_twin_with_a_side_that_guides_choices_guides_choices(benchmarks: dict, flags: pd.DataFrame) -> None:
    names = dict(zip(flags["name"], flags["concept_id"], strict=True))
    for twin in benchmarks["twin-scores"].twins:
        ids = [names[text.removeprefix("There is ").removesuffix(" in the image.")] for text in twin.texts]
        assert twin.part == ("dev" if "dev" in map(part_of, ids) else "test")


def _pictures(flags: pd.DataFrame) -> list[np.ndarray]:
    return [read_references(flags, EDGE)[concept] for concept in flags["concept_id"]]


def test_a_benchmark_about_which_nothing_can_be_asked_says_so() -> None:
    concepts = make_concepts([("kimono", "JP", "garment", "emoji:👘")])
    asked = culture_benchmarks(concepts, make_twins(concepts, []), read_references(concepts, EDGE))
    assert [(b.texts, b.card()["items"]) for b in asked] == [([], 0)] * 5
    nothing = Embeddings(np.zeros((0, 0)), np.zeros((0, 0)), {}, {})
    assert [b.answer(nothing) for b in asked] == [[]] * 5


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


def test_the_declaration_says_what_the_pictures_are(tmp_path: Path, flags: pd.DataFrame, twins: pd.DataFrame) -> None:
    def sources(concepts: pd.DataFrame) -> dict[str, tuple[str, str]]:
        made = culture_benchmarks(concepts, twins, read_references(concepts, EDGE))
        return {b.name: (b.declaration.source, b.declaration.licence) for b in made}

    assert sources(flags)["globalrg-grounding"] == ("Twemoji drawings of culture-bound concepts", LICENCES["twemoji"])
    files = []
    for number in range(len(flags)):
        files.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (8, 8), (20 * number, 0, 0)).save(files[-1])
    own = sources(flags.assign(reference_image=files))
    assert own["crope"] == ("pictures of your own of accepted twins", OWN_LICENCE)
    mixed = sources(flags.assign(reference_image=flags["reference_image"].where(flags["name"] != "kimono", files[0])))
    source, licence = mixed["globalrg-grounding"]
    assert source == "3 Twemoji drawings and 1 pictures of your own of culture-bound concepts"
    assert licence.startswith(LICENCES["twemoji"])
    assert licence.endswith(OWN_LICENCE)
    assert mixed["crope"] == sources(flags)["crope"]


def test_only_what_is_listed_is_posed(
    flags: pd.DataFrame, twins: pd.DataFrame, benchmarks: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    (crope,) = collect_pocket(flags, twins, EDGE, ["crope", "own-files"])
    assert crope.card() == benchmarks["crope"].card()
    monkeypatch.setattr(pocket, "read_references", lambda *_: pytest.fail("no picture of a concept is asked about"))
    (general,) = collect_pocket(flags, twins, EDGE, ["general-retrieval"])
    assert general.card() == benchmarks["general-retrieval"].card()


def test_photographs_of_ones_own_are_not_kept_in_memory(
    tmp_path: Path, flags: pd.DataFrame, twins: pd.DataFrame
) -> None:
    files = []
    for number in range(len(flags)):
        files.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (400, 300), (20 * number, 0, 0)).save(files[-1])
    own = flags.assign(reference_image=files)
    tracemalloc.start()
    made = culture_benchmarks(own, twins, read_references(own, EDGE))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 400 * 300 * 3  # not even one of eleven
    for benchmark in made:
        assert {picture_key(pixels) for pixels in benchmark.images.values()} == set(benchmark.images)
        assert all(pixels.shape == (300, 400, 3) for pixels in benchmark.images.values())
    Image.new("RGB", (400, 300), "white").save(files[-2])
    with pytest.raises(SourceDataError, match="changed since"):
        list(made[0].images.values())


def test_asked_and_left_out_count_questions(flags: pd.DataFrame, twins: pd.DataFrame) -> None:
    blind = flags.assign(reference_image=flags["reference_image"].where(flags["name"] != "flag of ML", None))
    (asked,) = culture_benchmarks(blind, twins, read_references(blind, EDGE), ["culture-questions"])
    card = asked.card()
    assert card["items"] == len(asked.questions)
    assert card["items"] + sum(card["left_out"].values()) == 3 * len(flags)
    assert card["left_out"]["concept has no held-out picture"] == 3
