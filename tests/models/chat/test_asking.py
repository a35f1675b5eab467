import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import Field

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import EngineSettings
from cultureclip.engine.status import read_jobs
from cultureclip.models.chat.asking import Usage, answer_all, ask
from cultureclip.models.chat.request import Request, Sampling, Structured, Turn
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from tests.support.chat_server import chat_server, completion


class Grade(Structured):
    grade: int = Field(ge=1, le=5)


def request(text, temperature=0.7, schema=Grade):
    sampling = Sampling(max_tokens=20, temperature=temperature)
    return Request(turns=(Turn("user", (text,)),), sampling=sampling, seed=3, schema=schema)


def model(server, **changes):
    given = {"model": "small", "revision": "r1", "retries": 0, "concurrency": 2, **changes}
    return ServerChat(ServerSettings(servers=(server.url,), **given))


def echo(handler, body):
    """Answer with what stands after ``say`` in the question, the try's own by number of tries."""
    tries = body["messages"][0]["content"].split("|")
    asked = sum(seen["messages"] == body["messages"] for _, _, seen in handler.server.seen)
    handler.send(json.dumps(completion(tries[min(asked, len(tries)) - 1])).encode())


@pytest.fixture
def store(tmp_path):
    return KeyedStore(tmp_path / "answers.sqlite")


def test_the_status_of_a_job_says_what_its_answers_cost(store, tmp_path):
    """Four answers of 7 tokens read at 2 per million and 3 written at 10: 4 x (14 + 30) millionths."""
    engine = EngineSettings(journal=tmp_path / "jobs")
    with chat_server(echo) as server:
        asked = [request(f'{{"grade": {number}}}') for number in range(1, 5)]
        assert len(list(answer_all(model(server, prices=(2.0, 10.0)), asked, store, Usage(), engine, "captions"))) == 4
    (job,) = read_jobs(tmp_path / "jobs")
    assert job.counts["cost"] == pytest.approx(0.000176)
    line = job.line()
    assert "4 of 4 questions (100%)" in line
    assert "cost 0.000176" in line and "tokens read 28 (" in line and "questions/s" in line


def test_an_answer_of_the_wrong_form_is_asked_again_with_another_seed(store):
    with chat_server(echo) as server:
        usage = Usage()
        good, late, never = ask(
            model(server), [request('{"grade": 5}'), request('four|{"grade": 4}'), request("no|no|no")], store, 3, usage
        )
        seeds = [body["seed"] for _, _, body in server.seen if body["messages"][0]["content"].startswith("four")]
    assert (good.value, good.tries) == (Grade(grade=5), 1)
    assert (late.value, late.tries, late.reason) == (Grade(grade=4), 2, None)
    assert (never.value, never.tries, never.reason, never.text) == (None, 3, "unparsable", "no")
    assert len(set(seeds)) == 2
    assert (usage.asked, usage.kept, usage.failed) == (6, 0, 1)
    assert (usage.prompt_tokens, usage.completion_tokens) == (42, 18)
    assert usage.to_metrics((1.0, 2.0))["cost"] == pytest.approx((42 + 36) / 1e6)


def test_a_repeated_question_at_temperature_zero_is_sampled(store):
    with chat_server(echo) as server:
        ask(model(server), [request('x|{"grade": 4}', temperature=0.0)], store, 2)
        assert [body["temperature"] for _, _, body in server.seen] == [0.0, 0.5]


def test_a_second_run_asks_nothing(store):
    questions = [request('{"grade": 5}'), request('four|{"grade": 4}'), request("no|no|no")]
    with chat_server(echo) as server:
        first = ask(model(server), questions, store, 3)
        count, usage = len(server.seen), Usage()
        assert ask(model(server), questions, store, 3, usage) == first
        assert len(server.seen) == count and (usage.asked, usage.kept) == (0, 6)


def test_equal_questions_are_asked_once(store):
    with chat_server(echo) as server:
        outcomes = ask(model(server), [request('{"grade": 2}')] * 5, store, 2)
        assert len(server.seen) == 1 and [o.value for o in outcomes] == [Grade(grade=2)] * 5


@pytest.mark.parametrize("changes", [{"model": "other"}, {"revision": "r2"}])
def test_answers_belong_to_a_model_and_its_revision(store, changes):
    def reply(handler, body):
        handler.send(json.dumps(completion('{"grade": 1}', model=body["model"])).encode())

    with chat_server(reply) as server:
        ask(model(server), [request("q")], store, 1)
        ask(model(server, **changes), [request("q")], store, 1)
        assert len(server.seen) == 2


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.models.chat.asking import ask
from tests.models.chat.test_asking import model, request
class Server: url = {url!r}
ask(model(Server, concurrency=4), [request('{{"grade": %d}}' % (1 + i % 5) + " " * i) for i in range(500)],
    KeyedStore(Path({path!r})), 1)
"""


def test_of_500_questions_killed_at_ten_moments_each_answer_is_kept_and_asked_once(tmp_path):
    """What was in flight at a kill may be asked again; nothing else may."""
    path, concurrency, kills = tmp_path / "answers.sqlite", 4, 10

    def slow(handler, body):
        time.sleep(0.01)
        handler.send(json.dumps(completion(body["messages"][0]["content"].strip())).encode())

    with chat_server(slow) as server:
        code = KILLED.format(root=str(Path(__file__).parents[3]), url=server.url, path=str(path))
        done = 0
        while done <= kills:
            child = subprocess.Popen([sys.executable, "-c", code])
            if done < kills:
                target = (done + 1) * 500 // (kills + 2)
                while child.poll() is None and len(server.seen) < target:
                    time.sleep(0.005)
                os.kill(child.pid, signal.SIGKILL)
            child.wait()
            done += 1
        assert child.returncode == 0
        asked = [body["messages"][0]["content"] for _, _, body in server.seen]
    assert len(KeyedStore(path)) == len(set(asked)) == 500
    assert len(asked) <= 500 + kills * concurrency
