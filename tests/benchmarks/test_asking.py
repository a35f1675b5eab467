"""Benchmarks asked of chat models: how answers are read, what is shown, and what a run counts."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner
from PIL import Image

from cultureclip.benchmarks.asking.answers import read_caption, read_letter, read_yes_no
from cultureclip.benchmarks.asking.captions import rouge_l, score_caption
from cultureclip.benchmarks.asking.evaluate import ask_all
from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.asking.settings import AskingSettings
from cultureclip.benchmarks.asking.turns import EDGE, ask_turns, read_asking_prompt, shown_order
from cultureclip.benchmarks.protocols.benchmark import Benchmark
from cultureclip.benchmarks.protocols.items import metric_of
from cultureclip.datasets.benchmark_dataset import BenchmarkDataset
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.models.chat.request import Answer, Picture
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.pipelines.ask_benchmarks import create_pipeline
from cultureclip.pipelines.ask_benchmarks.parameters import AskBenchmarksParameters
from cultureclip.tables import CHAT_ANSWERS, PREDICTIONS, TWINS, make_table
from tests.support.benchmark_files import encode, stored, write_parquet, write_pictures
from tests.support.chat_server import chat_server, completion
from tests.support.parameters import load_parameters

ROOT = Path(__file__).parents[2]
PROMPT = read_asking_prompt(yaml.safe_load((ROOT / "conf/base/prompts/ask_benchmarks.yml").read_text("utf-8")))
FIELDS: dict[str, Any] = {"title": "Own", "source": "s", "licence": "l"}
OPTIONS = ("a sari", "a kimono", "a poncho", "none")


def said(text: str, finish: Any = "stop") -> Answer:
    return Answer(text=text, finish=finish)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("B", 1),
        ("b", 1),
        (" (C). ", 2),
        ("**D**", 3),
        ("B) a kimono", 1),
        ("C. a poncho, as the wool shows", 2),
        ("**B**: a kimono", 1),
        ("It is worn at weddings.\nAnswer: B", 1),
        ("The answer is C.", 2),
        ("Answer: A? No.\nAnswer: **D**", 3),
        ("a kimono", 1),
        ("A Kimono.", 1),
        ("A sari is worn here", None),
        ("The answer is a kimono", None),
        ("Answer: A kimono", None),
        ("Answer: APPLE", None),
        ("E", None),
        ("1", None),
        ("A or B", None),
        ("kimono", None),
        ("", None),
    ],
)
def test_only_what_is_clearly_a_letter_or_an_option_is_a_choice(text: str, choice: int | None) -> None:
    reading = read_letter(said(text), OPTIONS)
    assert reading.choice == choice
    assert reading.why == (None if choice is not None else "unparsable")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"),
        ("no, it is not", "no"),
        ("**No**.", "no"),
        ("Answer: yes", "yes"),
        ("Nothing", None),
        ("It is", None),
    ],
)
def test_yes_and_no_are_first_words(text: str, answer: str | None) -> None:
    options = ("no", "yes")
    found = read_yes_no(said(text), options).choice
    assert (None if found is None else options[found]) == answer


def test_what_does_not_count_says_why() -> None:
    assert read_letter(said("well, let us see what", "length"), OPTIONS).why == "cut_off"
    assert read_letter(said("B) because of", "length"), OPTIONS).choice == 1
    assert read_letter(said("", "refused"), OPTIONS).why == "refused"
    assert read_yes_no(said("I'm sorry, I cannot see pictures"), ("no", "yes")).why == "refused"
    assert read_caption(said("As an AI, I see nothing"), ()).why == "refused"
    assert read_caption(said("  "), ()).why == "unparsable"
    assert read_caption(said("A dance\nin Peru", "length"), ()).text == "A dance in Peru"


def naive_lcs(a: list[str], b: list[str]) -> int:
    if not a or not b:
        return 0
    return naive_lcs(a[1:], b[1:]) + 1 if a[0] == b[0] else max(naive_lcs(a[1:], b), naive_lcs(a, b[1:]))


def test_rouge_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        one, other = (["w" + str(i) for i in rng.integers(0, 4, rng.integers(0, 7))] for _ in range(2))
        common = naive_lcs(one, other)
        expected = (
            2 * (common / len(one)) * (common / len(other)) / (common / len(one) + common / len(other)) if common else 0
        )
        assert rouge_l(" ".join(one), " ".join(other)) == pytest.approx(expected)
    assert rouge_l("Police killed the gunman", "police kill the gunman") == pytest.approx(0.75)


def test_a_caption_names_its_region_by_whole_words() -> None:
    references = ("a kimono at a shrine", "two people")
    assert score_caption("A Japanese kimono at a shrine", "Japan", references)["region"] == 1
    assert score_caption("A stage in Indiana", "India", ())["region"] == 0
    assert score_caption("A Korean gate", "Korea", ())["region"] == 1
    assert score_caption("A gate in Korea", "Korea", ())["region"] == 1
    assert score_caption("x", "", ()) == {}
    assert score_caption("", "Japan", references) == {"region": 0, "ROUGE-L": 0}
    assert score_caption("two people", "Japan", references)["ROUGE-L"] == 1


def a_question(number: int, **more: Any) -> ChatQuestion:
    fields: dict[str, Any] = {"kind": "choice", "image": "k", "asked": "What?", "options": OPTIONS, "cluster": "c"}
    return ChatQuestion(item_id=f"m:{number}", **(fields | more))


def test_the_right_option_stands_at_every_letter_equally_often() -> None:
    places = [shown_order(a_question(number)).index(OPTIONS[0]) for number in range(2000)]
    assert max(abs(places.count(place) - 500) for place in range(4)) < 90  # 4.6 standard deviations
    turned = [a_question(n, options=(*OPTIONS[1:], OPTIONS[0])) for n in range(50)]
    assert [shown_order(q) for q in turned] == [shown_order(a_question(n)) for n in range(50)]


def test_pictures_stand_where_they_are_spoken_of() -> None:
    images = {key: np.full((8, 2 * EDGE, 3), shade, np.uint8) for key, shade in (("a", 10), ("b", 20), ("k", 30))}
    asked = a_question(
        1, kind="yes_no", asked="sari<|im_end|>", options=("yes", "no"), context="a cloth", context_images=("a", "b")
    )
    *_, last = ask_turns(PROMPT, asked, images)
    shades = [
        int(np.asarray(Image.open(io.BytesIO(part.data)))[0, 0, 0]) if isinstance(part, Picture) else part
        for part in last.parts
    ]
    assert shades == [
        "The next pictures show sari. The last picture is the one that you are asked about.",
        10,
        20,
        "sari: a cloth",
        30,
        "Is there sari in the picture? Answer yes or no.",
    ]
    assert all(max(Image.open(io.BytesIO(p.data)).size) == EDGE for p in last.parts if isinstance(p, Picture))
    *_, unseen = ask_turns(PROMPT, a_question(1, image="", asked=""), images)
    assert not unseen.pictures
    assert unseen.text.startswith("The picture cannot be shown.")
    assert "Which of these statements" in unseen.text


# Whole runs


@pytest.fixture
def photographs(tmp_path: Path) -> dict[str, Benchmark]:
    """CROPE with definitions, CultureVerse, and RAVENEA's questions and captions, as files of their owners' layouts."""
    crope = {
        "image": [stored(encode(n)) for n in range(6)],
        "metadata": [{"image_en_concept": f"x{n % 3}", "definition_concept": f"thing{n % 3}"} for n in range(6)],
        "answer": ["yes", "yes", "yes", "no", "no", "no"],
        "definition": [f"thing{n % 3} is known" for n in range(6)],
        "definition_images": [[stored(encode(50 + n % 3))] for n in range(6)],
    }
    write_parquet(tmp_path / "crope", crope)
    write_pictures(tmp_path / "verse", ["0.png", "1.png"])
    questions = [
        {"image": f"{n}.png", "type": "scene", "question": "Where?", "options": [f"right{n}", "b", "c"], "answer": 0}
        | {"concept": f"c{n}", "region": "Japan"}
        for n in range(2)
    ]
    (tmp_path / "verse/test.json").write_text(json.dumps(questions), "utf-8")
    ravenea = tmp_path / "raw/ravenea"
    write_pictures(ravenea / "images", ["0.png", "1.png"])
    documents = [{"id": f"d{n}", "text": f"# Head\nTold {n}. " + "word " * 300} for n in range(3)]
    (ravenea / "wiki_documents.jsonl").write_text("\n".join(map(json.dumps, documents)), "utf-8")
    shared = {"country": "Korea", "category": "Art", "enwiki_ids": ["d0", "d1", "d2"]}
    asked = [
        shared
        | {
            "file_name": "./ravenea/images/0.png",
            "culture_relevance": [-1, 3, 3],
            "questions": ["Who?", "When?"],
            "options": [["A. king", "B. monk"], ["A. now", "B. then"]],
            "answers": ["B", "A"],
        },
        shared
        | {
            "file_name": "./ravenea/images/1.png",
            "culture_relevance": [-1, 0, -3],
            "questions": ["Why?"],
            "options": [["A. so", "B. or"]],
            "answers": ["A"],
        },
    ]
    (ravenea / "cvqa_downstream.jsonl").write_text("\n".join(map(json.dumps, asked)), "utf-8")
    told = [
        shared
        | {
            "file_name": "images/0.png",
            "culture_relevance": [1, 0, 0],
            "human_captions": ["a gate in Korea", "a gate"],
        },
        shared | {"file_name": "images/1.png", "culture_relevance": [0, 0, 0], "human_captions": ["a dance"]},
    ]
    (ravenea / "cic_downstream.jsonl").write_text("\n".join(map(json.dumps, told)), "utf-8")

    def load(name: str, folder: Path, form: dict[str, Any]) -> Any:
        return BenchmarkDataset(
            filepath=str(folder), name=name.replace("_", "-"), protocol=name, format=form, **FIELDS
        ).load()

    tasks = {"type": "ravenea_task", "folder": "ravenea"}
    made = [
        load("crope_defined", tmp_path / "crope", {"type": "parquet"}),
        load("cultureverse", tmp_path / "verse", {"type": "json_rows"}),
        load("ravenea_questions", tmp_path / "raw", tasks | {"task": "cvqa"}),
        load("ravenea_captions", tmp_path / "raw", tasks | {"task": "cic"}),
    ]
    return {benchmark.name: benchmark for benchmark in made}


def test_ravenea_s_tasks_are_read_with_the_best_document(photographs: dict[str, Benchmark]) -> None:
    asked = list(photographs["ravenea-questions"].chat_questions())
    assert [(metric_of(q.item_id), q.asked, q.options) for q in asked if q.image] == [
        ("accuracy", "Who?", ("monk", "king")),
        ("accuracy, document", "Who?", ("monk", "king")),
        ("accuracy", "When?", ("now", "then")),
        ("accuracy, document", "When?", ("now", "then")),
        ("accuracy", "Why?", ("so", "or")),
    ]
    (document,) = {q.context for q in asked if q.context}
    assert document.startswith("Told 1. word")
    assert len(document.split()) == 256
    captions = list(photographs["ravenea-captions"].chat_questions())
    assert [(metric_of(q.item_id), q.references) for q in captions] == [
        ("caption", ("a gate in Korea", "a gate")),
        ("caption, document", ("a gate in Korea", "a gate")),
        ("caption", ("a dance",)),
    ]


def answering(handler: Any, body: dict[str, Any]) -> None:
    """Says yes to everything, letter A to choices, Korea in captions; declines without a picture."""
    content = body["messages"][-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    seen = [part for part in parts if part["type"] == "image_url"]
    for part in seen:
        Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))).load()
    if not seen:
        reply = "I cannot see it"
    elif "Answer yes or no" in text:
        reply = "Yes."
    elif "letter" in text:
        reply = "A" if "Where?" not in text else "perhaps"
    else:
        reply = "A gate in Korea"
    handler.send(json.dumps(completion(reply)).encode())


def test_answers_that_do_not_count_are_wrong_and_counted(photographs: dict[str, Benchmark], tmp_path: Path) -> None:
    store = KeyedStore(tmp_path / "answers.sqlite")
    settings = AskingSettings(seed=0)
    with chat_server(answering) as server:
        of = AskBenchmarksParameters.model_validate(
            load_parameters()["ask_benchmarks"]
            | {"base_model": {"servers": [server.url], "model": "m", "revision": "r"}}
        ).base_model
        rows, answers, counts = ask_all({"base": of}, list(photographs.values()), PROMPT, store, settings)
        asked = len(server.seen)
        again = ask_all({"base": of}, list(photographs.values()), PROMPT, store, settings)
        assert len(server.seen) == asked, "a second run asks nothing"
    assert again[0] == rows
    table = pd.DataFrame(rows)
    PREDICTIONS.validate(table.assign(objective="base", seed=pd.array([None] * len(table), "Int64"), scale=1.0))
    CHAT_ANSWERS.validate(answers)
    of_crope = counts["answers"]["crope-defined"]["base"]
    assert of_crope["yes-no, both"] == {
        "asked": 6,
        "unparsable": 0,
        "refused": 0,
        "cut_off": 0,
        "accuracy_of_answers": 0.5,
    }
    assert of_crope["yes-no, no picture"] == {"asked": 6, "unparsable": 0, "refused": 6, "cut_off": 0}
    assert counts["answers"]["cultureverse"]["base"]["scene"]["unparsable"] == 2
    metrics = table["item_id"].map(metric_of)
    mean = table.groupby([table["benchmark"], metrics])["correct"].mean()
    assert mean["crope-defined", "yes-no, text"] == 0.5
    assert mean["crope-defined", "yes-no, no picture"] == 0
    assert mean["cultureverse", "scene"] == 0
    assert mean["ravenea-captions", "region"] == 1
    assert mean["ravenea-captions", "ROUGE-L, document"] == 1
    assert mean["ravenea-captions", "ROUGE-L"] == pytest.approx((1 + 1 / 3) / 2)  # a gate in Korea; a dance
    unread = table[(table["benchmark"] == "cultureverse")]
    assert set(unread["predicted"]) == {-1}
    assert unread["scores"].map(sum).eq(0).all()
    of_a = table[(table["benchmark"] == "ravenea-questions") & (metrics == "accuracy")]
    for row in of_a.to_dict("records"):
        (question,) = (q for q in photographs["ravenea-questions"].chat_questions() if q.item_id == row["item_id"])
        assert row["correct"] == float(shown_order(question)[0] == question.options[0])
    assert counts["usage"]["base"]["failed"] == int(answers["why_not"].notna().sum()) > 0


def test_a_text_model_is_asked_the_controls_alone(photographs: dict[str, Benchmark], tmp_path: Path) -> None:
    """SmolLM2, as shipped: it reads no pictures, and says letters, but other things than yes and no."""
    of = LanguageModelSettings.model_validate(load_parameters()["ask_benchmarks"]["base_model"] | {"batch": 4})
    store = KeyedStore(tmp_path / "answers.sqlite")
    chosen = [photographs["crope-defined"], photographs["cultureverse"]]
    with pytest.raises(ConfigurationError, match="model base: it reads text alone"):
        ask_all({"base": of}, chosen, PROMPT, store, AskingSettings(seed=0, first=4))
    rows, answers, counts = ask_all({"base": of}, chosen, PROMPT, store, AskingSettings(seed=0, pictures=False))
    assert {metric_of(row["item_id"]) for row in rows} == {"yes-no, no picture", "scene, no picture"}
    silent = set(answers.loc[answers["why_not"].notna(), "item_id"])
    assert len(silent) < len(answers) == 8
    assert all(row["correct"] == 0 for row in rows if row["item_id"] in silent)
    assert all((row["predicted"] == -1) is (row["item_id"] in silent) for row in rows)
    assert counts["usage"]["base"]["asked"] == 3 + 2  # the three concepts of CROPE, each asked about twice
    with pytest.raises(SourceDataError, match="no question for a chat model that shows no picture"):
        ask_all({"base": of}, [photographs["ravenea-captions"]], PROMPT, store, AskingSettings(seed=0, pictures=False))


def test_a_vision_model_sees_every_context(photographs: dict[str, Benchmark], tmp_path: Path) -> None:
    """Pocket's judge is a vision-language model that was taught to rate: it answers, and nothing it says is a guess."""
    folder = "package:cultureclip/pocket/weights/vision_judge"
    of = LanguageModelSettings.model_validate({"path": folder, "device": "cpu", "dtype": "float32", "batch": 4})
    store = KeyedStore(tmp_path / "answers.sqlite")
    settings = AskingSettings(seed=0, answer_tokens=4, caption_tokens=4)
    chosen = [photographs["crope-defined"], photographs["cultureverse"]]
    rows, answers, counts = ask_all({"base": of}, chosen, PROMPT, store, settings)
    expected = sum(len(list(benchmark.chat_questions())) for benchmark in chosen)
    assert len(answers) == expected
    counted = counts["answers"]["crope-defined"]["base"]
    assert {metric: of["asked"] for metric, of in counted.items()} == dict.fromkeys(counted, 6)
    assert len(counted) == 5
    silent = {(a["benchmark"], a["item_id"]) for a in answers.dropna(subset="why_not").to_dict("records")}
    for row in rows:
        if (row["benchmark"], row["item_id"]) in silent:
            assert (row["predicted"], row["correct"]) == (-1, 0)
    with pytest.raises(ConfigurationError, match=r"a question takes \d+ tokens, and the model reads \d+"):
        ask_all({"base": of}, [photographs["ravenea-questions"]], PROMPT, store, settings)


def test_the_pipeline_asks_the_culture_questions_of_two_models(tmp_path: Path, flags: pd.DataFrame) -> None:
    config = (ROOT / "conf/base/catalog_ask_benchmarks.yml").read_text(encoding="utf-8")
    config = config.replace("${globals:data}", str(tmp_path)).replace(
        "${globals:prompts}", str(ROOT / "conf/base/prompts")
    )
    factories = yaml.safe_load((ROOT / "conf/base/catalog_evaluation.yml").read_text(encoding="utf-8"))
    entries = yaml.safe_load(config) | {name: entry for name, entry in factories.items() if "{" in name}
    catalog = DataCatalog.from_config(entries)
    catalog["concepts"], catalog["twins"] = MemoryDataset(flags), MemoryDataset(make_table([], TWINS))

    def first_option(handler: Any, body: dict[str, Any]) -> None:
        handler.send(json.dumps(completion("A" if body["model"] == "first" else "hm", body["model"])).encode())

    with chat_server(first_option) as server:
        models = {name: {"servers": [server.url], "model": name, "revision": "r"} for name in ("first", "mute")}
        changes = {"base_model": models["mute"], "models": {"first": models["first"]}, "first": None, "pictures": True}
        parameters = load_parameters()["ask_benchmarks"] | changes | {"resamples": 200}
        catalog["params:ask_benchmarks"] = MemoryDataset(AskBenchmarksParameters.model_validate(parameters))
        catalog["params:engine"] = MemoryDataset(HERE)
        SequentialRunner().run(create_pipeline(["culture-questions"]), catalog)
    scores = catalog["ask_benchmarks.scores"].load()
    table = catalog["ask_benchmarks.predictions"].load()
    for metric in ("recognition", "recognition, no picture"):
        own = table[(table["item_id"].map(metric_of) == metric) & (table["model"] == "first")]
        rows = scores[(scores["metric"] == metric) & (scores["model"] == "first")].to_dict("records")
        assert sum(row["n"] for row in rows) == len(own) >= 6
        for row in rows:
            assert row["value"] == pytest.approx(own[own["part"] == row["part"]]["correct"].mean())
            assert row["difference"] == pytest.approx(row["value"])
    assert scores[scores["model"] == "base"]["value"].eq(0).all()
    metrics = catalog["ask_benchmarks.metrics"].load()
    counted = metrics["answers"]["culture-questions"]["base"]["recognition"]
    assert counted["unparsable"] == counted["asked"] >= 6
    assert metrics["prompt_id"] == PROMPT.id
    assert metrics["cards"][0]["name"] == "culture-questions"
    assert len(catalog["ask_benchmarks.answers"].load()) == len(table)
