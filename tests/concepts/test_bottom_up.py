"""The bottom-up pass: thresholds, figures and answers against naive references; no label of the test part is used."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.metrics import f1_score, precision_recall_fscore_support

from cultureclip.concepts.atlas import read_concepts
from cultureclip.concepts.bottom_up import ask as asking
from cultureclip.concepts.bottom_up import calibrate as calibration
from cultureclip.concepts.bottom_up.ask import Title, TitleAsker, read_category_prompt, read_concept_prompt
from cultureclip.concepts.bottom_up.calibrate import BOTTOM_UP, NO_ANSWER, NOT_BOUND, Calibrated, calibrate
from cultureclip.concepts.bottom_up.check import ConceptCheck
from cultureclip.concepts.bottom_up.measure import best_threshold, measure_answers
from cultureclip.concepts.bottom_up.titles import read_titles
from cultureclip.concepts.gather import gather_concepts
from cultureclip.concepts.settings import BottomUpSettings
from cultureclip.concepts.sources.source import Material
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Request
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.pocket.titles import list_titles
from cultureclip.reading.csv_table import read_csv_table
from tests.concepts.sources.support import ATLAS, MERGING, check_counts, dropped, read_source
from tests.concepts.test_pictures import address, fetcher, picture_server  # noqa: F401 - a fixture
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import change_stage
from tests.support.tiny_vision import write_tiny_llava

CONF = Path(__file__).parents[2] / "conf"
TITLES = ATLAS.with_name("titles.csv")


def prompt_file(name: str, env: str = "base") -> dict[str, Any]:
    return yaml.safe_load((CONF / env / "prompts" / f"{name}.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_equals_trying_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(40) < 0.3
    scores = np.round(truth + rng.normal(size=40), 1)  # rounded: with ties
    threshold, f1 = best_threshold(scores, truth)
    tried = {t: f1_score(truth, scores >= t) for t in scores}
    assert f1 == pytest.approx(max(tried.values()))
    assert f1_score(truth, scores >= threshold) == pytest.approx(f1)


def test_figures_equal_sklearns_and_intervals_hold_them() -> None:
    rng = np.random.default_rng(0)
    truth, answers = rng.random(300) < 0.4, rng.random(300) < 0.5
    figures: dict[str, Any] = measure_answers(answers, truth, np.arange(300).astype(str), 500)
    expected = precision_recall_fscore_support(truth, answers, average="binary")[:3]
    for name, value in zip(("precision", "recall", "f1"), expected, strict=True):
        assert figures[name].value == pytest.approx(value)
        assert figures[name].low < value < figures[name].high
    assert (figures["titles"], figures["true"], figures["found"]) == (300, truth.sum(), answers.sum())


def test_variants_of_one_thing_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    truth, answers = np.ones(40, bool), rng.random(40) < 0.5
    once: dict[str, Any] = measure_answers(answers, truth, np.arange(40).astype(str), 2000)
    copies = [np.repeat(v, 9) for v in (answers, truth, np.arange(40).astype(str))]
    nine_times: dict[str, Any] = measure_answers(copies[0], copies[1], copies[2], 2000)
    assert nine_times["recall"] == once["recall"]


def make_titles(count: int = 200) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Titles whose embedding tells whether they are concepts, and a scorer that knows nothing."""
    rng = np.random.default_rng(0)
    truth = np.arange(count) % 4 == 0
    embeddings = rng.normal(size=(count, 6)).astype(np.float32)
    embeddings[:, 0] += 3 * truth
    category = np.where(embeddings[:, 1] > 0, "Cuisine", "Clothing")
    titles = pd.DataFrame(
        {
            "title": [f"title {i}" for i in range(count)],
            "context": "",
            "picture": None,
            "group": [f"g{i // 2 * 2 if i % 4 > 1 else i}" for i in range(count)],
            "subset": np.where(np.arange(count) % 8 == 0, "easy", "hard"),
            "part": np.where(np.arange(count) % 100 < 50, "dev", "test"),
            "truth": truth,
            "true_category": [c if t else None for c, t in zip(category, truth, strict=True)],
        }
    )
    return titles, rng.normal(size=count), embeddings


def settings(**changes: Any) -> BottomUpSettings:
    mining = change_stage("mining", bottom_up={"learn_from": ["hard"], "resamples": 200, "folds": 4} | changes)
    assert isinstance(mining, MiningParameters)
    return mining.bottom_up


def test_the_better_asker_is_used_and_every_title_is_kept_with_a_reason() -> None:
    titles, noise, embeddings = make_titles()
    table, figures, calibrated = calibrate(titles, noise, embeddings, settings())
    BOTTOM_UP.validate(table)
    assert figures["chosen"] == calibrated.chosen == "sentence_encoder"
    assert figures["test"]["sentence_encoder"]["hard"]["f1"]["value"] > 0.8
    assert set(figures["test"]["language_model"]) == {"all", "easy", "hard"}
    assert figures["category_accuracy"]["all"]["value"] > 0.7
    assert list(table["title"]) == list(titles["title"])
    answer = table["sentence_encoder_answer"]
    assert ((table["verdict"] == "accepted") == (answer & table["truth"])).all()
    assert (table.loc[answer & ~table["truth"], "reason"] == calibration.NOT_KNOWN).all()
    assert (table.loc[~answer & table["truth"], "reason"] == calibration.NOT_FOUND).all()
    assert table["category"].notna().equals(answer)
    assert figures["found_outside"] == (answer & ~table["truth"]).sum()


def test_what_was_learned_judges_new_titles_as_it_judged_the_test_part() -> None:
    titles, noise, embeddings = make_titles()
    table, _, calibrated = calibrate(titles, noise, embeddings, settings())
    test = (table["part"] == "test").to_numpy()
    again = calibrated.binding.decision_function(embeddings[test]) >= calibrated.threshold
    assert list(again) == list(table.loc[test, "sentence_encoder_answer"])


def test_nothing_is_learned_from_the_test_part() -> None:
    titles, noise, embeddings = make_titles()
    flipped = titles.copy()
    test = flipped["part"] == "test"
    flipped.loc[test, "truth"] = ~flipped.loc[test, "truth"]
    flipped.loc[test, "true_category"] = np.where(flipped.loc[test, "truth"], "Festival", None)
    table, figures, _ = calibrate(titles, noise, embeddings, settings())
    other, other_figures, _ = calibrate(flipped, noise, embeddings, settings())
    assert table["sentence_encoder_score"].equals(other["sentence_encoder_score"])
    assert figures["thresholds"] == other_figures["thresholds"]
    assert table["category"].equals(other["category"])


def test_a_title_without_an_answer_is_failed_and_never_found() -> None:
    titles, _, embeddings = make_titles()
    scores = titles["truth"].to_numpy().astype(float)
    scores[[0, 1, 60]] = np.nan
    table, figures, _ = calibrate(titles, scores, np.random.default_rng(3).normal(size=embeddings.shape), settings())
    BOTTOM_UP.validate(table)
    assert figures["chosen"] == "language_model"
    assert figures["no_answer"] == 3
    assert list(table.loc[[0, 1, 60], "verdict"]) == ["failed"] * 3
    assert list(table.loc[[0, 1, 60], "reason"]) == [NO_ANSWER] * 3
    assert not table.loc[[0, 1, 60], "language_model_answer"].any()


def test_a_model_that_answers_nothing_leaves_the_encoder() -> None:
    titles, noise, embeddings = make_titles()
    table, figures, _ = calibrate(titles, noise * np.nan, embeddings, settings())
    BOTTOM_UP.validate(table)
    assert figures["chosen"] == "sentence_encoder"
    assert not table["language_model_answer"].any()


def test_too_few_to_learn_from_is_said() -> None:
    titles, noise, embeddings = make_titles(20)
    with pytest.raises(ConfigurationError, match=r"mining\.bottom_up.*enabled to false"):
        calibrate(titles, noise, embeddings, settings(folds=5))


def test_a_single_category_to_learn_from_is_said() -> None:
    titles, noise, embeddings = make_titles()
    titles["true_category"] = titles["true_category"].where(titles["true_category"].isna(), "Clothing")
    with pytest.raises(ConfigurationError, match=r"mining\.bottom_up.*one category, Clothing.*enabled to false"):
        calibrate(titles, noise, embeddings, settings())


def test_pockets_titles_are_the_names_of_emoji_and_the_atlas_is_their_truth() -> None:
    concepts = read_concepts(read_csv_table(ATLAS.read_text(encoding="utf-8")))
    written = pd.read_csv(TITLES, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(written, list_titles(concepts), check_dtype=False)
    titles = read_titles(str(TITLES))
    assert titles.groupby("group")["part"].nunique().max() == 1
    tuxedos = titles[titles["title"].str.endswith("in tuxedo")]
    assert list(tuxedos["truth"]) == [True] * 3
    assert set(tuxedos["true_category"]) == {"Clothing"}


@pytest.mark.parametrize(
    ("rows", "cause"),
    [
        ("title,truth\n", "no row"),
        ("title\nkilt\n", "truth: Field required"),
        ("title,truth\nkilt,maybe\n", "line 2: truth: Input should be 'yes' or 'no'"),
        ("title,truth,category\nkilt,yes,Garment\n", "no category 'Garment'"),
        ("title,truth,category\nwall,no,Art\n", "a category, but truth is no"),
        ("title,truth\nkilt,yes\nkilt,no\n", "'kilt' is there on line 2"),
        ("title,truth\n ,yes\n", "line 2: title"),
        ("title,truth,colour\nkilt,yes,red\n", "colour: Extra inputs"),
    ],
)
def test_a_bad_table_of_titles_is_refused_with_its_lines(tmp_path: Path, rows: str, cause: str) -> None:
    path = tmp_path / "titles.csv"
    path.write_text(rows, encoding="utf-8")
    with pytest.raises(SourceDataError, match=cause):
        read_titles(str(path))


def make_asker(folder: Path, model: Any, env: str = "base", **changes: Any) -> TitleAsker:
    asker = TitleAsker(
        model=model,
        concept_prompt=read_concept_prompt(prompt_file("bottom_up", env)),
        category_prompt=read_category_prompt(prompt_file("category", env)),
        options=("A", "B"),
        tries=2,
        store=KeyedStore(folder / "answers.sqlite"),
        read=None,
        usage=Usage(),
    )
    return replace(asker, **changes)


class CountingModel:
    """Favours the first option by the length of the title, and counts what it is asked; dies on request."""

    name, fingerprint, window = "counting", "0" * 20, 16

    def __init__(self, dies_after: int | None = None) -> None:
        self.asked: list[str] = []
        self.dies_after = dies_after

    def load(self) -> None:
        """Nothing to load."""

    def stream(self, requests: Any) -> Iterator[Any]:
        raise AssertionError("only probabilities are asked for")

    def score(self, requests: Sequence[Request], options: Sequence[str]) -> Iterator[list[tuple[int, list[float]]]]:
        if self.dies_after is not None and len(self.asked) >= self.dies_after:
            raise RuntimeError("killed")
        self.asked += [request.turns[-1].text for request in requests]
        for place, request in enumerate(requests):
            sign = 1 if "A for yes" in request.turns[0].text else -1
            yield [(place, [0.5 + sign * len(request.turns[-1].text), 0.0])]


def test_answers_are_kept_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_SLICE", 4)
    titles = [Title(f"{'x' * (i % 5)}{i}") for i in range(11)]

    def ask(model: Any, **changes: Any) -> list[float]:
        return list(make_asker(tmp_path, model, **changes).score(titles))

    with pytest.raises(RuntimeError):
        ask(CountingModel(dies_after=8))
    second = CountingModel()
    assert ask(second) == [len(title.title) for title in titles]  # the liking for A of 0.5 is gone
    assert len(second.asked) == 3 + 11  # both orders of the answers
    third = CountingModel()
    ask(third)
    assert third.asked == []
    ask(third, env="paper")
    assert len(third.asked) == 22


def test_the_question_gives_both_answers_by_either_letter(tmp_path: Path) -> None:
    requests: list[Request] = []

    class Watching(CountingModel):
        def score(self, asked: Sequence[Request], options: Sequence[str]) -> Iterator[Any]:
            requests.extend(asked)
            return super().score(asked, options)

    make_asker(tmp_path, Watching()).score([Title("kimono")])
    texts = [[turn.text for turn in request.turns] for request in requests]
    assert [text[0].split("Answer ")[1] for text in texts] == ["A for yes or B for no.", "B for yes or A for no."]
    assert texts[0][1:5] == ["lederhosen", "A", "ceiling", "B"]
    assert texts[1][1:5] == ["lederhosen", "B", "ceiling", "A"]


def test_answers_of_a_server_count_and_others_are_no_answer(tmp_path: Path) -> None:
    def behave(handler: Any, body: dict[str, Any]) -> None:
        system, title = body["messages"][0]["content"], body["messages"][-1]["content"]
        yes = "A" if "A for yes" in system else "B"
        no = "B" if yes == "A" else "A"
        answer = {"kilt": yes, "wall": no, "any": "A", "prose": f"{yes}, I think", "refused": "", "long": yes * 900}
        handler.send(json.dumps(completion(answer[title])).encode())

    with chat_server(behave) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="1", retries=0))
        asker = make_asker(tmp_path, model)
        scores = asker.score([Title(t) for t in ("kilt", "wall", "any", "prose", "refused", "long")])
    np.testing.assert_array_equal(scores, [1, -1, 0, np.nan, np.nan, np.nan])
    assert asker.usage.failed == 6
    assert asker.usage.asked == 6 + 2 * 6


def test_categories_are_one_of_the_eight_or_none(tmp_path: Path) -> None:
    said = {"kilt": '{"category": "Clothing"}', "x": '{"category": "Garment"}', "y": "Clothing", "z": "[]"}

    def behave(handler: Any, body: dict[str, Any]) -> None:
        handler.send(json.dumps(completion(said[body["messages"][-1]["content"]])).encode())

    with chat_server(behave) as server:
        model = open_chat_model(ServerSettings(servers=(server.url,), model="small", revision="1", retries=0))
        assert make_asker(tmp_path, model).classify([Title(t) for t in said]) == ["Clothing", None, None, None]


def test_a_model_that_sees_is_shown_the_picture(tmp_path: Path) -> None:
    model = open_chat_model(LanguageModelSettings(path=str(write_tiny_llava(tmp_path / "llava")), dtype="float32"))
    seen: list[str] = []

    def read(reference: str) -> Image.Image:
        seen.append(reference)
        return Image.new("RGB", (24, 24), reference)

    titles = [Title("kilt", picture="red"), Title("kilt", picture="blue"), Title("kilt")]
    prompt = {"system": "{yes} {no}", "templates": {"concept": "{title}"}}
    asker = make_asker(tmp_path, model, concept_prompt=read_concept_prompt(prompt), options=("yes", "no"), read=read)
    shown = asker.score(titles)
    assert set(seen) == {"red", "blue"}
    assert len(set(shown.tolist())) == 3
    blind = replace(asker, read=None).score(titles)
    assert len(set(blind.tolist())) == 1
    assert blind[2] == shown[2]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"system": "{yes}?"}, "must name the answers"),
        ({"system": "{yes} or {no} or {maybe}?"}, "must name the answers"),
        ({"system": "{yes or {no}?"}, "must name the answers"),
        ({"templates": {"concept": "{name}"}}, "there is no field 'name'"),
        ({"examples": [{"templates": ["concept"], "fields": {"title": "x"}, "answer": "A"}]}, "neither yes nor no"),
    ],
)
def test_a_wrong_prompt_is_refused(change: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigurationError, match=cause):
        read_concept_prompt(prompt_file("bottom_up") | change)


class ByName:
    """Stands for a fitted classifier: a title is a concept if its embedding's first number says so."""

    def decision_function(self, embeddings: np.ndarray) -> np.ndarray:
        return embeddings[:, 0]

    def predict(self, embeddings: np.ndarray) -> list[str]:
        return ["Festival"] * len(embeddings)


def test_things_of_checked_sources_alone_are_checked(tmp_path: Path) -> None:
    csv = tmp_path / "own.csv"
    csv.write_text("name,where,kind\nkimono,Japan,dress\nbad idea,Japan,dress\nhaori,Japan,dress\n", encoding="utf-8")
    source = read_source(
        kind="csv",
        title="own",
        path=str(csv),
        licence="MIT",
        terms="train",
        columns={"name": "name", "countries": "where", "category": "kind"},
        categories={"dress": "Clothing"},
    )
    embedded: list[str] = []

    def embed(titles: list[str]) -> np.ndarray:
        embedded.extend(titles)
        return np.array([[-1.0 if "bad" in title else 1.0] for title in titles])

    learned = Calibrated("sentence_encoder", 0.0, ByName(), ByName())  # type: ignore[arg-type]
    check = ConceptCheck(frozenset({"csv"}), learned, make_asker(tmp_path, CountingModel()), embed, False)
    material = Material(ATLAS.read_text(encoding="utf-8"))
    gathered = gather_concepts([read_source(kind="atlas"), source], material, MERGING, check=check)
    check_counts(gathered)
    assert embedded == ["bad idea", "haori"]  # the atlas names the kimono, too
    assert dropped(gathered, 1) == {NOT_BOUND: 1}
    assert gathered.concepts.set_index("name").loc["haori", "category"] == "Festival"
    assert gathered.sources.set_index("name").loc["haori", "category"] == "dress"


def test_pictures_by_address_are_shown_and_those_that_fail_are_counted(
    picture_server: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    good, gone = address(picture_server, "good"), address(picture_server, "gone")
    csv = tmp_path / "own.csv"
    rows = f"kimono,Japan,dress,{good}\nhaori,Japan,dress,{gone}\nobi,Japan,dress,\n"
    csv.write_text(f"name,where,kind,photo\n{rows}", encoding="utf-8")
    source = read_source(
        kind="csv",
        title="own",
        path=str(csv),
        licence="MIT",
        terms="train",
        columns={"name": "name", "countries": "where", "category": "kind", "picture_url": "photo"},
        categories={"dress": "Clothing"},
    )
    asked: list[Request] = []

    class Watching(CountingModel):
        def score(self, requests: Sequence[Request], options: Sequence[str]) -> Iterator[Any]:
            asked.extend(requests)
            return super().score(requests, options)

    asker = make_asker(tmp_path, Watching(), read=Image.open)
    learned = Calibrated("language_model", 0.0, ByName(), ByName())  # type: ignore[arg-type]

    def embed(titles: list[str]) -> np.ndarray:
        return np.ones((len(titles), 1))

    check = ConceptCheck(frozenset({"csv"}), learned, asker, embed, False, fetcher(tmp_path / "pictures"))
    gathered = gather_concepts([source], Material(""), MERGING, check=check)
    shown = {request.turns[-1].text: len(request.turns[-1].pictures) for request in asked}
    assert shown == {"kimono": 1, "haori": 0, "obi": 0}
    assert gathered.report["pictures_not_fetched"] == {"server answers 404": 1}
    assert list(gathered.concepts["reference_image"]) == [None] * 3
