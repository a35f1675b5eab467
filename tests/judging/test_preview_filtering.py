"""The preview of filtering: the stage's own opinions of the first images, asked once."""

import json

import pytest

from cultureclip.errors import MissingInputError
from cultureclip.judging.rating import CRITERIA
from tests.support.chat_server import chat_server, completion
from tests.test_hooks import Workplace, place  # noqa: F401 - a fixture


def ratings(value: int) -> str:
    return json.dumps({name: {"rating": value, "reason": "<script>alert(1)</script>"} for name in CRITERIA})


def behave(handler, body):
    text = next(part["text"] for part in body["messages"][-1]["content"] if part["type"] == "text")
    handler.send(json.dumps(completion(ratings(5) if "Japan" in text or "Chad" in text else "I cannot")).encode())


def settings(url: str, judge: object) -> dict[str, object]:
    rater = {
        "model": {"servers": [url], "model": "small", "revision": "1", "retries": 0, "prices": [1.0, 2.0]},
        **{"max_new_tokens": 90, "temperature": 0.0, "top_p": 1.0, "seed": 1, "tries": 2},
    }
    panel = {"decide": ["vision_language"], "combine": "all"}
    return {"judge": str(judge), "judges": panel, "vision_language": rater, "min_images_per_side": 1}


def test_the_page_shows_every_judge_and_the_stage_asks_only_for_the_rest(place: Workplace, judge_path):  # noqa: F811
    place.fill()
    with chat_server(behave) as server:
        given = settings(server.url, judge_path)
        place.run("preview_filtering", filtering=given, preview={"items": 5})
        (html,) = (place.data / "08_reporting" / "preview" / "filtering").glob("2*/filtering/index.html")
        page = html.read_text(encoding="utf-8")
        assert "The first 5 of 12 images" in page
        assert page.count('<img src="data:image/jpeg;base64,') == 5
        assert "&lt;script&gt;alert(1)" in page
        assert "<script" not in page
        assert {"judgements.parquet", "cultwin.parquet"}.isdisjoint(path.name for path in place.data.rglob("*"))
        previewed = len(server.seen)
        assert 5 <= previewed <= 10
        place.run("filtering", filtering=given)
        asked = [body["messages"][-1]["content"][0]["image_url"]["url"] for _, _, body in server.seen]
    assert len(set(asked)) == 12
    assert len(asked) - previewed <= 14, "no image of the preview is asked about again"


def test_a_second_preview_asks_nothing(place: Workplace, judge_path):  # noqa: F811
    place.fill()
    with chat_server(behave) as server:
        given = settings(server.url, judge_path)
        place.run("preview_filtering", filtering=given, preview={"items": 3})
        before = len(server.seen)
        place.run("preview_filtering", filtering=given, preview={"items": 3})
        assert len(server.seen) == before


def test_it_needs_what_the_stage_needs(place: Workplace):  # noqa: F811
    with pytest.raises(MissingInputError, match="kedro run --pipelines=mining"):
        place.run("preview_filtering")
