"""The review in a real browser: keys decide, comments are kept, nothing hostile runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from cultureclip.datasets.review_dataset import ReviewDataset
from tests.review.test_server import serving
from tests.support.browser import console, open_browser, prefer, resize
from tests.support.review_data import HOSTILE, make_concepts, make_twins

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with open_browser() as found:
        yield found


def press(browser: Chrome, *keys: str) -> None:
    ActionChains(browser).send_keys(*keys).perform()


def text(browser: Chrome, identifier: str) -> str:
    return browser.find_element(By.ID, identifier).text


def wait(browser: Chrome, identifier: str, expected: str) -> None:
    WebDriverWait(browser, 15).until(lambda b: expected in text(b, identifier), f"{identifier}: {expected}")


def test_keys_accept_reject_and_comment(browser: Chrome, tmp_path: Path) -> None:
    concepts = make_concepts(6, context=HOSTILE)
    file = tmp_path / "r.sqlite"
    with serving(file, concepts=concepts, twins=make_twins(concepts)) as server:
        browser.get(server.address)
        wait(browser, "place", "1 of 3")
        assert HOSTILE in text(browser, "sides")
        assert not browser.find_element(By.ID, "revealed").is_displayed()
        pictures = browser.find_elements(By.CSS_SELECTOR, "#sides img")
        assert len(pictures) == 2
        assert all(browser.execute_script("return arguments[0].naturalWidth", picture) for picture in pictures)
        press(browser, "a")
        wait(browser, "status", "accepted")
        assert "Likeness of looks" in text(browser, "revealed")
        press(browser, Keys.ARROW_RIGHT)
        wait(browser, "place", "2 of 3")
        press(browser, "c")
        press(browser, "one thing, a rare name")  # letters in the field are no keys
        press(browser, Keys.ESCAPE)
        wait(browser, "status", "not decided")
        press(browser, "r")
        wait(browser, "status", "rejected")
        wait(browser, "decided", "2 of 3")
        browser.refresh()
        wait(browser, "place", "3 of 3")
        for width, scheme in ((1200, "light"), (360, "dark")):
            resize(browser, width)
            prefer(browser, scheme)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert [line for line in console(browser) if "favicon" not in line] == []
    kept = ReviewDataset(filepath=str(file)).load()
    assert sorted(zip(kept["decision"], kept["comment"], strict=True)) == [
        ("accepted", ""),
        ("rejected", "one thing, a rare name"),
    ]
