"""A picture with several right answers, in every protocol over files: loops over the rows say what may be asked."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from PIL import Image

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, metric_of, named_concept
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from cultureclip.errors import ConfigurationError
from cultureclip.ids import bytes_digest, digest
from tests.benchmarks.conftest import unit
from tests.support.benchmark_files import encode, write_pictures

KEYS = {f"{n}.png": bytes_digest(encode(n)) for n in range(40)}
SHARED = "what else is right for its picture is not offered"


def load(folder: Path, protocol: str, rows: list[str], **more: Any) -> Benchmark:
    """A benchmark of a CSV; its pictures are 0.png to 39.png."""
    write_pictures(folder, list(KEYS))
    (folder / "own.csv").write_text("\n".join(rows), encoding="utf-8")
    fields = {"name": "own", "title": "Own", "source": "s", "licence": "l", "format": {"type": "csv"}} | more
    benchmark = BenchmarkDataset(filepath=str(folder / "own.csv"), protocol=protocol, **fields).load()
    assert isinstance(benchmark, Benchmark)
    return benchmark


def answer(benchmark: Benchmark) -> list[Prediction]:
    rng = np.random.default_rng(0)
    keys, texts = list(benchmark.images), benchmark.texts
    rows = {key: row for row, key in enumerate(keys)}, {text: row for row, text in enumerate(texts)}
    return benchmark.answer(Embeddings(unit(rng, len(keys), 8), unit(rng, max(len(texts), 1), 8), *rows))


def components(rows: list[tuple[str, Any]]) -> set[frozenset]:
    """Groups of answers that hang together by pictures, as networkx finds them."""
    graph = nx.Graph((("picture", picture), ("answer", found)) for picture, found in rows)
    groups = nx.connected_components(graph)
    return {frozenset(name for kind, name in group if kind == "answer") for group in groups}


def random_rows(seed: int, answers: int, rows: int = 60) -> list[tuple[str, str, str]]:
    """(picture, kind, answer), each once; of the forty pictures some have several answers."""
    rng = np.random.default_rng(seed)
    drawn = [(f"{rng.integers(40)}.png", f"k{rng.integers(2)}", f"a{rng.integers(answers)}") for _ in range(rows)]
    return list(dict.fromkeys(drawn))


def test_a_flag_of_two_regions_is_asked_about_each_without_the_other(tmp_path: Path) -> None:
    regions = ["Australia", "Norfolk", "Peru", "Iran", "Togo", "Laos"]
    rows = ["0.png,flag,Australia", "0.png,flag,Norfolk", *(f"{n}.png,flag,{regions[n]}" for n in range(2, 6))]
    benchmark = load(tmp_path, "globalrg_retrieval", ["image,universal,region", *rows])
    named = "The picture depicts a kind of flag in {}".format
    asked = [p for p in answer(benchmark) if p.image == KEYS["0.png"]]
    assert Counter(metric_of(p.item_id) for p in asked) == {"accuracy": 2, "accuracy_all": 2}
    for prediction in asked:
        assert sum(text in prediction.options for text in (named("Australia"), named("Norfolk"))) == 1
    assert len({p.cluster for p in asked}) == 1
    assert len({p.cluster for p in answer(benchmark)}) == 5
    card = benchmark.card()
    assert (card["changed"], card["left_out"], card["items"]) == ({SHARED: 2}, {}, 6)


@pytest.mark.parametrize("seed", range(3))
def test_retrieval_offers_no_region_that_the_picture_has(tmp_path: Path, seed: int) -> None:
    rows = random_rows(seed, 8)
    benchmark = load(tmp_path, "globalrg_retrieval", ["image,universal,region", *map(",".join, rows)])
    fair = {(p.image, p.options[0]): p for p in answer(benchmark) if metric_of(p.item_id) == "accuracy_all"}
    drawn = {(p.image, p.options[0]): p for p in answer(benchmark) if metric_of(p.item_id) == "accuracy"}
    assert fair.keys() == drawn.keys()
    expected, changed = set(), 0
    for image, kind, region in rows:
        of_kind = {r for _, k, r in rows if k == kind}
        right = {r for i, _, r in rows if i == image}
        if len(of_kind) < 4 or len(of_kind - right) < 3:
            continue
        text = f"The picture depicts a kind of {kind} in "
        key = (KEYS[image], text + region)
        expected.add(key)
        changed += bool((right - {region}) & of_kind)
        assert set(fair[key].options[1:]) == {text + r for r in of_kind - right}
        assert set(drawn[key].options[1:]) <= set(fair[key].options[1:])
    assert fair.keys() == expected
    assert benchmark.card()["changed"].get(SHARED, 0) == changed > 5
    clusters = defaultdict(set)
    for prediction in fair.values():
        text = prediction.options[0].removeprefix("The picture depicts a kind of ")
        clusters[prediction.cluster].add(tuple(text.split(" in ")))
    for group in components([(image, (kind, region)) for image, kind, region in rows]):
        assert len({cluster for cluster, members in clusters.items() if members & group}) <= 1


@pytest.mark.parametrize("seed", range(3))
def test_grounding_offers_no_concept_that_the_picture_shows(tmp_path: Path, seed: int) -> None:
    rows = random_rows(seed, 9)
    benchmark = load(tmp_path, "globalrg_grounding", ["image,region,concept", *map(",".join, rows)])
    fair = {(p.image, p.options[0]): p for p in answer(benchmark) if metric_of(p.item_id) == "accuracy_all"}
    expected = set()
    for image, region, concept in rows:
        there = {c for _, r, c in rows if r == region}
        right = {c for i, _, c in rows if i == image}
        if len(there) < 4 or len(there - right) < 3:
            continue
        text = "The item in the picture is {} in {}".format
        expected.add((KEYS[image], text(concept, region)))
        options = fair[KEYS[image], text(concept, region)].options
        assert set(options[1:]) == {text(c, region) for c in there - right}
    assert fair.keys() == expected
    groups = components([(image, concept) for image, _, concept in rows])
    smallest = {c: min(map(named_concept, group)) for group in groups for c in group}
    assert {(p.options[0].split(" in ")[1].split(" is ")[1], p.cluster) for p in fair.values()} <= smallest.items()
    assert benchmark.concepts == {named_concept(p.options[0].split(" is ")[1].split(" in ")[0]) for p in fair.values()}


def test_published_draws_stay_as_published_where_the_entry_says_so(tmp_path: Path) -> None:
    rows = random_rows(1, 8)
    lines = ["image,universal,region", *map(",".join, rows)]
    shared = {image for image, n in Counter(image for image, _, _ in rows).items() if n > 1}
    kept, corrected = (
        {p.item_id: p for p in answer(load(tmp_path, "globalrg_retrieval", lines, as_published=flag))}
        for flag in (True, False)
    )
    published = [p for p in kept.values() if metric_of(p.item_id) == "accuracy"]
    # The owners' rule: every picture of a kind with four regions, three of the others.
    of_kind = {kind: {r for _, k, r in rows if k == kind} for _, kind, _ in rows}
    assert len(published) == sum(len(of_kind[kind]) > 3 for _, kind, _ in rows)
    doubtful = 0
    for prediction in published:
        if prediction.image not in {KEYS[image] for image in shared}:
            assert prediction.options == corrected[prediction.item_id].options
        kind = prediction.options[0].split(" in ")[0].removeprefix("The picture depicts a kind of ")
        right = {f"{prediction.options[0].split(' in ')[0]} in {r}" for i, _, r in rows if KEYS[i] == prediction.image}
        doubtful += bool(right & {*prediction.options[1:]})
        assert {text.split(" in ")[1] for text in prediction.options} <= of_kind[kind]
    assert doubtful > 0
    fair = {item: p.options for item, p in kept.items() if metric_of(item) == "accuracy_all"}
    assert fair == {item: p.options for item, p in corrected.items() if metric_of(item) == "accuracy_all"}
    card = load(tmp_path, "globalrg_retrieval", lines, as_published=True).card()
    assert set(card["changed"]) >= {f"{SHARED}; accuracy asks it as published"}
    assert card["as_published"] is True


def test_as_published_needs_a_protocol_that_was_published_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="as_published needs a protocol that has two variants"):
        load(tmp_path, "zero_shot", ["image,label"], as_published=True)


CROPE = "image,definition_images,metadata.image_en_concept,metadata.definition_concept,answer"


def test_crope_leaves_out_a_file_on_both_sides(tmp_path: Path) -> None:
    rows = [CROPE, "0.png,0.png|1.png,oud,lute,no", "2.png,3.png,sari,toga,no", "2.png,5.png,toga,toga,yes"]
    benchmark = load(tmp_path, "crope", rows)
    there = "There is {} in the image.".format
    asked = {(p.image, p.options) for p in answer(benchmark)}
    assert asked == {
        (KEYS["1.png"], (there("lute"), there("oud"))),
        (KEYS["3.png"], (there("toga"), there("sari"))),
    }
    card = benchmark.card()
    assert card["left_out"] == {
        "its answer is not no: the definition is the picture's own": 1,
        "the picture shows both concepts": 3,
    }
    kept = load(tmp_path, "crope", rows, as_published=True)
    assert Counter(metric_of(p.item_id) for p in answer(kept)) == {"accuracy": 5, "accuracy_all": 2}
    assert kept.card()["changed"] == {"the picture shows both concepts; accuracy asks it as published": 3}


@pytest.mark.parametrize("seed", range(3))
def test_crope_asks_only_where_one_concept_is_right(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, shows = [], defaultdict(set)
    for _ in range(25):
        a, b = rng.choice(6, 2, replace=False)
        main, *definitions = [f"{n}.png" for n in rng.integers(0, 40, 3)]
        answer_ = ["no", "yes"][int(rng.integers(4) == 0)]
        rows.append((main, definitions, f"c{a}", f"c{b}", answer_))
        for image in definitions:
            shows[image].add(f"c{b}")
        shows[main] |= {f"c{a}", f"c{b}"} if answer_ == "yes" else {f"c{a}"}
    expected = set()
    for main, definitions, own, other, said in rows:
        if said == "no":
            sides = [(main, own, other), *((image, other, own) for image in definitions)]
            expected |= {(KEYS[i], right, wrong) for i, right, wrong in sides if wrong not in shows[i]}
    lines = [f"{main},{'|'.join(ds)},{own},{other},{said}" for main, ds, own, other, said in rows]
    found = answer(load(tmp_path, "crope", [CROPE, *lines]))
    asked = {(p.image, *(text.split()[2] for text in p.options)) for p in found}
    assert asked == expected
    groups = components([(image, concept) for image, concepts in shows.items() for concept in concepts])
    smallest = {c: min(map(named_concept, group)) for group in groups for c in group}
    assert {(p.options[0].split()[2], p.cluster) for p in found} <= smallest.items()


def test_of_two_labels_of_a_picture_neither_is_the_others_rival(tmp_path: Path) -> None:
    rows = ["image,label", "0.png,a", "0.png,b", "1.png,a", "2.png,c", *(f"3.png,{name}" for name in "abc")]
    benchmark = load(tmp_path, "zero_shot", rows, templates=["{c}"])
    found = {(p.image, p.category): p for p in answer(benchmark)}
    assert found[KEYS["0.png"], "a"].options[0] == "a"
    assert set(found[KEYS["0.png"], "a"].options) == {"a", "c"}
    assert set(found[KEYS["0.png"], "b"].options) == {"b", "c"}
    assert set(found[KEYS["1.png"], "a"].options) == {"a", "b", "c"}
    card = benchmark.card()
    assert (card["changed"], card["left_out"]) == ({SHARED: 2}, {"every class is right for the picture": 3})
    assert card["chances"] == pytest.approx({"top-1": (1 / 2 + 1 / 2 + 1 / 3 + 1 / 3) / 4})
    assert len({p.cluster for p in found.values()}) == 2  # a and b share a picture


@pytest.mark.parametrize("seed", range(3))
def test_labels_are_ranked_as_by_a_loop_without_the_others(tmp_path: Path, seed: int) -> None:
    rows = [(image, label) for image, _, label in random_rows(seed, 8)]
    rows = list(dict.fromkeys(rows))
    benchmark = load(tmp_path, "zero_shot", ["image,label", *map(",".join, rows)], templates=["{c}"])
    rng = np.random.default_rng(seed)
    keys, classes = list(benchmark.images), sorted({label for _, label in rows})
    # Few distinct vectors, so that many classes tie.
    vectors = unit(rng, 4, 8)
    pictures, texts = vectors[rng.integers(0, 4, len(keys))], vectors[rng.integers(0, 4, len(classes))]
    place = {key: i for i, key in enumerate(keys)}, {name: i for i, name in enumerate(classes)}
    found = {
        (p.image, p.category, metric_of(p.item_id)): p for p in benchmark.answer(Embeddings(pictures, texts, *place))
    }
    for image, label in rows:
        right = {other for i, other in rows if i == image}
        offered = [name for name in classes if name == label or name not in right]
        score = {n: round(float(pictures[place[0][KEYS[image]]] @ texts[place[1][n]]), 6) for n in offered}
        above = sum(score[n] > score[label] for n in offered)
        level = sum(score[n] == score[label] for n in offered)
        for k in (1, 5):
            credit = min(1.0, max(0.0, (k - above) / level))
            assert found[KEYS[image], label, f"top-{k}"].correct == pytest.approx(credit)


def test_a_probe_is_not_blamed_for_the_other_label(tmp_path: Path) -> None:
    names = "abc"
    fitted = [
        f"{3 * n + i}.png,{name},{'train' if n < 2 else 'validation'}" for n in range(3) for i, name in enumerate(names)
    ]
    rows = ["image,label,split", *fitted, "20.png,a,test", "20.png,b,test", "21.png,c,test"]
    benchmark = load(tmp_path, "linear_probe", rows)
    found = {(p.image, p.category): p for p in answer(benchmark)}
    assert set(found[KEYS["20.png"], "a"].options) == {"a", "c"}
    assert set(found[KEYS["20.png"], "b"].options) == {"b", "c"}
    assert set(found[KEYS["21.png"], "c"].options) == {"a", "b", "c"}
    assert benchmark.card()["changed"] == {SHARED: 2}
    assert found[KEYS["20.png"], "a"].cluster == found[KEYS["20.png"], "b"].cluster


def test_a_caption_that_is_right_elsewhere_is_no_wrong_caption(tmp_path: Path) -> None:
    rows = ["image,caption,negative_caption", "0.png,a dog,a cat", "0.png,a cat,a cow", "1.png,a dog,a cat"]
    benchmark = load(tmp_path, "sugarcrepe", rows)
    assert {(p.image, p.options) for p in answer(benchmark)} == {
        (KEYS["0.png"], ("a cat", "a cow")),
        (KEYS["1.png"], ("a dog", "a cat")),
    }
    assert list(benchmark.card()["left_out"].values()) == [1]


TWINS = "image_0,image_1,caption_0,caption_1"


def test_twins_with_two_right_captions_are_left_out_and_what_they_share_ties_them(tmp_path: Path) -> None:
    rows = [
        "0.png,1.png,a,b",
        "1.png,0.png,b,a",  # the first again, its sides exchanged
        "2.png,3.png,c,d",
        "2.png,4.png,d,e",  # so d is right for 2.png, and the row before has no answer
        "5.png,0.png,f,a",
        "6.png,7.png,g,h",
        "8.png,9.png,g,i",
    ]
    benchmark = load(tmp_path, "winoground", [TWINS, *rows])
    assert benchmark.card()["left_out_items"] == [
        {"item": "line 3", "reason": "the same pictures and captions were asked about before"},
        {"item": "line 4", "reason": "both captions are right for one picture: another row says so"},
    ]
    clusters = {(p.image, p.cluster) for p in answer(benchmark) if metric_of(p.item_id) == "text"}
    assert {cluster for _, cluster in clusters} == {"own: line 2", "own: line 5", "own: line 7"}


def test_pictures_that_share_a_caption_are_one_cluster(tmp_path: Path) -> None:
    rows = ["image,captions", "0.png,a|b", "1.png,b|c", "2.png,d", "3.png,e", "0.png,e2"]
    found = answer(load(tmp_path, "image_text_retrieval", rows))
    of_text = {p.image: p.cluster for p in found if p.image}
    assert of_text[KEYS["0.png"]] == of_text[KEYS["1.png"]] == min(KEYS["0.png"], KEYS["1.png"])
    assert {of_text[KEYS["2.png"]], of_text[KEYS["3.png"]]} == {KEYS["2.png"], KEYS["3.png"]}


def test_two_files_of_the_same_pixels_are_one_picture(tmp_path: Path) -> None:
    regions = ["Australia", "Norfolk", "Peru", "Iran", "Togo"]
    rows = ["0.png,flag,Australia", "0.bmp,flag,Norfolk", *(f"{n}.png,flag,{regions[n]}" for n in range(2, 5))]
    write_pictures(tmp_path, list(KEYS))
    with Image.open(tmp_path / "0.png") as picture:
        picture.save(tmp_path / "0.bmp")
    benchmark = load(tmp_path, "globalrg_retrieval", ["image,universal,region", *rows])
    assert benchmark.card()["changed"] == {SHARED: 2}
    assert len(benchmark.images) == 4
    key = min(KEYS["0.png"], bytes_digest((tmp_path / "0.bmp").read_bytes()))
    assert {p.image for p in answer(benchmark) if "Norfolk" in p.options[0]} == {key}
    np.testing.assert_array_equal(benchmark.images[key], np.asarray(Image.open(tmp_path / "0.png")))


def test_a_universal_in_a_region_stays_one_concept(tmp_path: Path) -> None:
    rows = [f"{n}.png,flag,{region}" for n, region in enumerate("ABCDA")]
    found = answer(load(tmp_path, "globalrg_retrieval", ["image,universal,region", *rows]))
    assert {p.cluster for p in found} == {digest("concept", "flag", region) for region in "ABCD"}


def test_culture_questions_over_a_file_take_no_statement_that_is_right(tmp_path: Path) -> None:
    names = ["sari", "toga", "kilt", "hanbok", "kimono"]
    rows = [f"{n if n else 1}.png,{name},Clothing,R{n},context of {name},a|b" for n, name in enumerate(names)]
    header = "image,name,category,region,context,features"
    benchmark = load(tmp_path, "culture_questions", [header, *rows, "7.png,kilt,Clothing,R2,,", "8.png,oud,,R8,,"])
    asked = {(metric_of(p.item_id), p.image, p.options[0]): {*p.options[1:]} for p in answer(benchmark)}
    assert len(asked) == 15
    # Sari and toga are one picture: neither is wrong for it, so each is asked with the three others.
    assert asked["recognition", KEYS["1.png"], "This is sari."] == {f"This is {name}." for name in names[2:]}
    assert asked["knowledge", KEYS["1.png"], "context of toga"] == {f"context of {name}" for name in names[2:]}
    assert ("scene", KEYS["2.png"], "A scene in R2 with a, b.") in asked
    assert benchmark.card()["left_out"] == {"no category": 1, "the same concept was asked about before": 1}
