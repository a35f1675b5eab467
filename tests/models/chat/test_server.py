import json
import logging
import socket
import time
import traceback

import pytest
from PIL import Image

from cultureclip.errors import ConfigurationError, ServerError
from cultureclip.models.chat.request import Picture, Request, Sampling, Structured, Turn
from cultureclip.models.chat.server import ServerChat
from cultureclip.models.chat.settings import ServerSettings
from tests.support.chat_server import chat_server, completion, fails, says

SECRET = "sk-very-secret-0123456789"


def request(text="Is it?", **changes):
    sampling = Sampling(**{"max_tokens": 20, **changes.pop("sampling", {})})
    return Request(**{"turns": (Turn("user", (text,)),), "sampling": sampling, "seed": 1, **changes})


def model(*servers, **changes):
    given = {"model": "small", "revision": "r1", "timeout_s": 5, "retries": 0, "concurrency": 4, **changes}
    return ServerChat(ServerSettings(servers=servers, **given))


def answers(chat, requests):
    return {place: answer for batch in chat.stream(requests) for place, answer in batch}


def test_an_answer_has_all_its_lines_its_finish_and_its_tokens():
    with chat_server(says(completion("one\ntwo\u2028three\n"))) as server:
        (answer,) = answers(model(server.url), [request()]).values()
    assert (answer.text, answer.finish) == ("one\ntwo\u2028three\n", "stop")
    assert (answer.prompt_tokens, answer.completion_tokens) == (7, 3)


def test_what_is_sent_is_the_request():
    class Reply(Structured):
        grade: int

    picture = Picture.of(Image.new("RGB", (2, 2), "red"))
    turns = (Turn("system", ("Be brief.",)), Turn("user", (picture, "What is it?")))
    with chat_server(says(completion('{"grade": 3}'))) as server:
        sampling = Sampling(max_tokens=9, temperature=0.5, top_p=0.8, stop="\n")
        answers(model(server.url), [Request(turns=turns, sampling=sampling, seed=2**40 + 5, schema=Reply)])
        ((_, _, body),) = server.seen
    assert body["messages"][0] == {"role": "system", "content": "Be brief."}
    image, text = body["messages"][1]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,") and text["text"] == "What is it?"
    assert (body["max_tokens"], body["temperature"], body["top_p"], body["stop"]) == (9, 0.5, 0.8, ["\n"])
    assert body["seed"] == (2**40 + 5) % 2**31
    assert body["response_format"]["json_schema"]["schema"]["properties"]["grade"]["type"] == "integer"


def test_no_more_requests_are_in_flight_than_allowed_and_each_is_answered_once():
    def slow(handler, body):
        time.sleep(0.05)
        handler.send(json.dumps(completion(body["messages"][0]["content"])).encode())

    with chat_server(slow) as server:
        found = answers(model(server.url, concurrency=3), [request(f"q{i}") for i in range(20)])
        assert server.most_flying == 3 and len(server.seen) == 20
    assert {place: answer.text for place, answer in found.items()} == {i: f"q{i}" for i in range(20)}


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_failure_is_tried_again(status):
    with chat_server(fails(status, times=2)) as server:
        (answer,) = answers(model(server.url, retries=3), [request()]).values()
        assert len(server.seen) == 3
    assert answer.text == "yes"


def test_a_server_is_given_the_time_that_it_asks_for():
    with chat_server(fails(429, times=1, Retry_After="2")) as server:
        answers(model(server.url, retries=2), [request()])
        first, second = (at for at, _, _ in server.seen)
    assert second - first >= 1.9


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, "refuses the key"),
        (403, "refuses the key"),
        (404, "does not know the model"),
        (400, "refuses the request"),
        (422, "refuses the request"),
        (429, "429 after 1 tries"),
        (500, "500 after 1 tries"),
    ],
)
def test_a_lasting_failure_stops_with_its_cause(status, cause):
    with chat_server(fails(status)) as server, pytest.raises(ServerError, match=cause):
        answers(model(server.url), [request()])


def cut_off(handler, _):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(json.dumps(completion()).encode()[:40])
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def half_a_character(handler, _):
    handler.send(json.dumps(completion("caf@")).encode().replace(b"@", "é".encode()[:1]))


def no_choices(handler, body):
    handler.send(json.dumps(completion() | {"choices": []}).encode())


UNUSABLE = {
    "cut off": cut_off,
    "half a character": half_a_character,
    "no choices": no_choices,
    "null choices": says(completion() | {"choices": None}),
    "two choices": says(completion() | {"choices": completion()["choices"] * 2}),
    "no text": says(completion(None)),
    "a number": says(completion(7)),
    "no finish": says(completion(finish=None)),
    "tool calls": says(completion(finish="tool_calls")),
    "HTML": lambda handler, _: handler.send(b"<html><body>busy</body></html>", media="text/html"),
    "HTML that claims to be JSON": lambda handler, _: handler.send(b"<html><body>busy</body></html>"),
    "a list": says([1, 2]),
    "null": says(None),
    "nothing": lambda handler, _: handler.send(b""),
    "deep JSON": lambda handler, _: handler.send(b"[" * 100_000),
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_reply_that_is_no_answer_is_never_taken_for_one(kind):
    with chat_server(UNUSABLE[kind]) as server, pytest.raises(ServerError):
        answers(model(server.url), [request()])


def test_a_server_that_hangs_is_left_after_the_time_allowed():
    with chat_server(lambda *_: time.sleep(5)) as server, pytest.raises(ServerError, match="Timeout"):
        started = time.monotonic()
        answers(model(server.url, timeout_s=0.5), [request()])
    assert time.monotonic() - started < 4


def test_another_models_answer_is_refused():
    with chat_server(says(completion(model="large"))) as server, pytest.raises(ServerError, match="'large' answered"):
        answers(model(server.url), [request()])


def test_a_refusal_and_a_cut_off_are_told_from_an_answer():
    with chat_server(says(completion(None, finish="stop", refusal="I cannot."))) as server:
        assert answers(model(server.url), [request()])[0].finish == "refused"
    with chat_server(says(completion("It is a", finish="length"))) as server:
        assert answers(model(server.url), [request()])[0].finish == "length"
    with chat_server(says(completion("x" * 1_000_000))) as server:
        answer = answers(model(server.url), [request()])[0]
        assert answer.finish == "length" and len(answer.text) <= 16 * 20


def test_when_one_server_dies_the_other_answers_everything(caplog):
    with chat_server(says(completion())) as alive:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with caplog.at_level(logging.WARNING):
            found = answers(model(dead, alive.url), [request(f"q{i}") for i in range(12)])
        assert len(found) == len(alive.seen) == 12
    assert sum(dead in record.getMessage() for record in caplog.records) <= 4  # asked last once it has failed


def test_answers_that_arrived_before_a_failure_are_not_lost():
    def fifth_fails(handler, body):
        bad = body["messages"][0]["content"] == "q5"
        handler.send(json.dumps(completion()).encode() if not bad else b"{}", 400 if bad else 200)

    with chat_server(fifth_fails) as server:
        found, chat = {}, model(server.url, concurrency=1)
        with pytest.raises(ServerError):
            for batch in chat.stream([request(f"q{i}") for i in range(9)]):
                found.update(batch)
    assert sorted(found) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("behaviour", [fails(401), fails(400), fails(500), UNUSABLE["cut off"]])
def test_no_key_appears_in_an_error_or_a_log(behaviour, monkeypatch, caplog):
    def echoing(handler, body):
        if behaviour is UNUSABLE["cut off"]:
            behaviour(handler, body)
        else:
            handler.send(json.dumps({"error": {"message": f"bad {handler.headers['authorization']}"}}).encode(), 400)

    monkeypatch.setenv("MY_API_KEY", SECRET)
    with chat_server(echoing) as server, caplog.at_level(logging.DEBUG), pytest.raises(ServerError) as failure:
        answers(model(server.url, api_key_env="MY_API_KEY"), [request()])
    assert server.seen[0][1]["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in "".join(traceback.format_exception(failure.value)) + repr(failure.value) + caplog.text


def test_a_missing_key_stops_before_any_request(monkeypatch):
    monkeypatch.delenv("MY_API_KEY", raising=False)
    with chat_server(says(completion())) as server:
        with pytest.raises(ConfigurationError, match="MY_API_KEY"):
            model(server.url, api_key_env="MY_API_KEY")
        assert not server.seen


def test_requests_keep_to_the_rate_that_is_allowed():
    with chat_server(says(completion())) as server:
        answers(model(server.url, requests_per_minute=600, concurrency=8), [request(f"q{i}") for i in range(6)])
        times = sorted(at for at, _, _ in server.seen)
    assert times[-1] - times[0] >= 0.45  # six requests, a tenth of a second apart


def test_addresses_with_a_password_in_them_are_refused():
    with pytest.raises(ValueError, match="servers"):
        ServerSettings(servers=("http://user:pass@host/v1",), model="m", revision="r")
