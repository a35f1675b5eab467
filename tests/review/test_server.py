"""The page over plain HTTP, as a browser asks: what is shown, what is kept, and who is refused."""

import http.client
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from cultureclip.cli import cli
from cultureclip.concepts.reviews import settle
from cultureclip.datasets.review_dataset import ReviewDataset
from cultureclip.errors import ConfigurationError, MissingInputError, SourceDataError
from cultureclip.review.sample import draw_pairs
from cultureclip.review.serve import check_reviewer, open_server
from cultureclip.review.server import ReviewServer
from tests.support.review_data import HOSTILE, SETTINGS, make_catalog, make_concepts, make_reviews, make_twins


@contextmanager
def serving(file: Path, reviewer: str = "ann", **tables: pd.DataFrame) -> Iterator[ReviewServer]:
    concepts = tables.pop("concepts", make_concepts(12))
    twins = tables.pop("twins", make_twins(concepts, refused=2))
    with open_server(make_catalog(str(file), concepts, twins, **tables), SETTINGS, reviewer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def ask(
    server: ReviewServer, place: str, body: Any = None, token: str | None = None, **headers: str
) -> tuple[int, Any, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    method = "GET" if data is None else "POST"
    connection.request(method, f"/{server.token if token is None else token}/{place}", data, headers)
    answer = connection.getresponse()
    text = answer.read()
    is_json = answer.headers.get("Content-Type") == "application/json"
    connection.close()
    return answer.status, json.loads(text) if is_json else text, answer.headers


def decide(server: ReviewServer, pair: int, decision: str | None, comment: str = "") -> Any:
    status, value, _ = ask(server, "decisions", {"pair": pair, "decision": decision, "comment": comment})
    assert status == 200, value
    return value


def test_a_pair_is_shown_decided_kept_and_known_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "new folder/reviews.sqlite"
    with serving(file) as server:
        assert server.server_address[0] == "127.0.0.1"
        _, every, _ = ask(server, "pairs")
        assert every == {"reviewer": "ann", "decided": [None] * 6, "commentLimit": 2000}
        _, pair, _ = ask(server, "pairs/3")
        assert pair["decision"] is None
        assert pair["revealed"] is None, "scores would sway the reviewer"
        assert "visual_similarity" not in json.dumps(pair)
        assert [side["cultures"] for side in pair["sides"]] in (
            [["Japan"], ["South Korea"]],
            [["China"], ["Mexico"]],
        )
        assert all(side["pictures"][0]["data"].startswith("data:image/jpeg;base64,") for side in pair["sides"])
        decided = decide(server, 3, "accepted", "  they do ")
        assert decided["revealed"]["measures"]["visual_similarity"] > 0.9
        assert decided["revealed"]["rejected"][0] == [["near", 0.5, "same culture"]]
        decide(server, 1, "rejected")
        decide(server, 0, None, "no idea")
        decide(server, 1, "accepted", "second thoughts")
    kept = ReviewDataset(filepath=str(file)).load()
    assert sorted(zip(kept["decision"].fillna("-"), kept["comment"], strict=True)) == [
        ("-", "no idea"),
        ("accepted", "second thoughts"),
        ("accepted", "they do"),
    ]
    assert len(settle(kept)) == 2
    with serving(file) as server:
        assert ask(server, "pairs")[1]["decided"] == [None, "accepted", None, "accepted", None, None]
        assert ask(server, "pairs/0")[1]["comment"] == "no idea"
    with serving(file, reviewer="bob") as server:
        assert ask(server, "pairs")[1]["decided"] == [None] * 6, "nobody sees what others say"
        decide(server, 3, "rejected")
    assert len(settle(ReviewDataset(filepath=str(file)).load())) == 1, "one says so and one not: undecided"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    with serving(tmp_path_factory.mktemp("reviews") / "r.sqlite") as server:
        yield server


@pytest.mark.parametrize(
    "change",
    [
        {"token": "x"},
        {"token": ""},
        {"Host": "evil.example:80"},
        {"Host": "evil.example"},
        {"place": "pairs/6"},
        {"place": "pairs/" + "9" * 19},
        {"place": "pairs/-1"},
        {"place": "pairs/%D9%A1"},
        {"place": "../pairs"},
        {"place": "server.py"},
        {"place": "static/review.js"},
    ],
)
def test_what_is_unknown_is_not_found(desk: ReviewServer, change: dict[str, str]) -> None:
    status, text, _ = ask(desk, **{"place": "pairs", **change})
    assert status == 404
    assert desk.token.encode() not in text


@pytest.mark.parametrize("path", ["/é/pairs", "/", "", "pairs", "//pairs", "/\x00/"])
def test_a_strange_request_is_answered(desk: ReviewServer, path: str) -> None:
    with socket.create_connection(desk.server_address, 10) as connection:
        host = f"127.0.0.1:{desk.server_port}"
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b" 404 " in answer or b" 400 " in answer or answer.startswith(b"<!DOCTYPE"), answer[:80]
    assert desk.token.encode() not in answer


def test_without_the_token_nothing_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    with serving(file) as server:
        body = {"pair": 0, "decision": "accepted", "comment": ""}
        assert ask(server, "decisions", body, token="guess")[0] == 404
        assert ask(server, "decisions", body, Host="rebound.example")[0] == 404
        assert ask(server, "pairs", body)[0] == 404
    assert not file.exists()


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        (b"{", 400, "Invalid JSON"),
        (b"\xff\xfe", 400, "Invalid JSON"),
        ({"pair": -1, "decision": None, "comment": ""}, 400, "pair"),
        ({"pair": 0, "decision": "maybe", "comment": ""}, 400, "decision"),
        ({"pair": 0, "decision": None, "comment": "x" * 2001}, 400, "comment"),
        ({"pair": 0, "decision": None, "comment": "", "reviewer": "bob"}, 400, "reviewer"),
        ({"pair": 6, "decision": None, "comment": ""}, 404, None),
        (b" " * 70_000, 413, None),
    ],
)
def test_a_bad_decision_is_refused_by_name(desk: ReviewServer, body: Any, status: int, named: str | None) -> None:
    found, value, _ = ask(desk, "decisions", body)
    assert found == status
    assert named is None or named in value["error"]
    assert ask(desk, "pairs")[1]["decided"] == [None] * 6


def test_the_page_is_whole_and_its_policy_forbids_the_rest(desk: ReviewServer) -> None:
    status, page, headers = ask(desk, "")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Referrer-Policy"] == "no-referrer", "the address holds the token"
    for name in ("style.css", "review.css", "review.js"):
        assert name.encode() in page
        assert ask(desk, name)[0] == 200
    assert b"style=" not in page
    assert b"onclick" not in page


def test_hostile_text_is_sent_as_json_and_set_as_text(tmp_path: Path) -> None:
    concepts = make_concepts(4, context=HOSTILE)
    with serving(tmp_path / "r.sqlite", concepts=concepts, twins=make_twins(concepts)) as server:
        _, pair, headers = ask(server, "pairs/0")
        assert headers["Content-Type"] == "application/json"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert pair["sides"][0]["context"] == HOSTILE
        script = ask(server, "review.js")[1].decode()
    assert not any(
        word in script for word in ("innerHTML", "insertAdjacentHTML", "outerHTML", "document.write", "eval(")
    )


def test_captions_and_pictures_of_later_stages_are_shown(tmp_path: Path) -> None:
    concepts = make_concepts(2)
    twins = make_twins(concepts)
    twin, own = twins["twin_id"][0], concepts["concept_id"][0]
    captions = pd.DataFrame(
        [
            {"caption_id": name, "twin_id": twin, "concept_id": own, "text": f"text {name}", "verdict": verdict}
            for name, verdict in (("c1", "accepted"), ("c2", "rejected"))
        ]
    )
    with serving(tmp_path / "r.sqlite", concepts=concepts, twins=twins, captions=captions) as server:
        sides = ask(server, "pairs/0")[1]["sides"]
    assert [side["captions"] for side in sides] == [["text c1"], []]


def test_a_reference_that_is_gone_is_said_and_the_pair_still_shown(tmp_path: Path) -> None:
    concepts = make_concepts(2)
    concepts.loc[0, "reference_image"] = str(tmp_path / "gone.png")
    with serving(tmp_path / "r.sqlite", concepts=concepts, twins=make_twins(concepts)) as server:
        side = ask(server, "pairs/0")[1]["sides"][0]
    assert side["pictures"] == []
    assert "gone.png" in side["missing"][0]


def test_a_decision_that_cannot_be_kept_is_said_to_be_lost(tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    with serving(folder / "r.sqlite") as server:
        folder.write_text("a file is where the folder should be")
        status, value, _ = ask(server, "decisions", {"pair": 0, "decision": "accepted", "comment": ""})
        assert status == 500
        assert value["error"].startswith("not kept: ")
        assert "File exists" in value["error"]
        assert "asked again" not in value["error"], "what a person decided is not made again"
        assert ask(server, "pairs")[1]["decided"][0] is None


def test_reviewers_at_once_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    with serving(file) as first, serving(file, reviewer="bob") as second:
        threads = [
            threading.Thread(target=decide, args=(server, pair, "accepted"))
            for server in (first, second)
            for pair in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ReviewDataset(filepath=str(file)).load()) == 12


def test_a_damaged_file_is_an_error_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "r.sqlite"
    twins = make_twins(make_concepts(4))
    dataset = ReviewDataset(filepath=str(file))
    dataset.save(make_reviews(twins, {"ann": ["accepted", "rejected"]}))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE answers SET value = replace(value, 'accepted', 'rejected')")
    with pytest.raises(DatasetError, match=r"1 of 2 entries are damaged.* put a copy"):
        dataset.load()
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (2,)


def test_everyone_is_asked_about_the_same_pairs_and_never_about_hopeless_ones() -> None:
    twins = make_twins(make_concepts(80), refused=20)
    twins.loc[37, "reason"] = "excluded"
    twins.loc[39, "reason"] = "same name"
    twins.loc[38, ["reason", "review"]] = "rejected in review", "rejected"
    few = SETTINGS.model_copy(update={"twins": 5, "refused": 3})
    drawn = draw_pairs(twins, few)
    assert sorted(drawn["verdict"]) == ["accepted"] * 5 + ["rejected"] * (len(drawn) - 5)
    assert len(drawn) in (8, 9)
    assert twins["twin_id"][38] in set(drawn["twin_id"]), "what was reviewed can be reviewed by others"
    everything = draw_pairs(twins, few.model_copy(update={"refused": 100}))
    assert not {"same name", "excluded"} & set(everything["reason"])
    assert len(everything) == 5 + 20 - 2
    shuffled = twins.sample(frac=1, random_state=0).reset_index(drop=True)
    assert list(draw_pairs(shuffled, few)["twin_id"]) == list(drawn["twin_id"])
    with pytest.raises(SourceDataError, match="no pair to review"):
        draw_pairs(twins.iloc[:5], few.model_copy(update={"twins": 0, "refused": 0}))


@pytest.mark.parametrize("name", ["", " ", "a" * 81, "ann\u202e", "\x00", "---"])
def test_a_reviewer_that_cannot_be_told_apart_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="Give --reviewer"):
        check_reviewer(name)


def test_before_mining_the_remedy_is_named(tmp_path: Path) -> None:
    catalog = make_catalog(str(tmp_path / "r.sqlite"), make_concepts(2), make_twins(make_concepts(2)))
    catalog["twins"].release()
    with pytest.raises(MissingInputError, match="kedro run --pipelines=mining"):
        open_server(catalog, SETTINGS, "ann")


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with serving(tmp_path / "r.sqlite") as server, pytest.raises(ConfigurationError, match=r"review\.port"):
        ReviewServer(server.desk, server.server_port)


def test_the_command_names_what_is_wrong_in_two_lines() -> None:
    done = CliRunner().invoke(cli, ["review", "--reviewer", "---"])
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Error: reviewer '---': a name has a letter or digit, at most 80 characters, and none that cannot be seen",
        "  fix: Give --reviewer=<name>",
    ]
