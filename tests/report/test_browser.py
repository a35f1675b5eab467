"""The site in a real browser, from disk: pages open, search, filter, turn, sort; nothing hostile runs."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from kedro.io.core import Version
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.ui import WebDriverWait

from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.report.estimate import project
from cultureclip.report.gallery import PAGE
from cultureclip.report.page import count_columns
from cultureclip.report.preview import Preview, Shown
from cultureclip.report.site import Site
from cultureclip.report.thumbnails import thumbnail
from tests.support.browser import address, console, open_browser, prefer, resize
from tests.support.report_data import HOSTILE, SETTINGS, change, make_data

pytestmark = pytest.mark.browser

PAIRS = 2 * PAGE + 7
FILES = ("index", "scores", "cultures", "confusions", "abilities", "data", "training", "gallery", "run")
LONGEST = 6500
"""Pixels of a page on a phone before anything is opened: seven screens."""
UNHINTED = """
return [...document.querySelectorAll(".scroll")].filter((region) => {
  const hint = getComputedStyle(region.querySelector("caption"), "::after").content;
  return region.scrollWidth > region.clientWidth && !hint.includes("sideways");
}).map((region) => region.getAttribute("aria-label"));
"""
"""Tables that go on beyond the screen without saying so."""
CONTRAST = """
const channel = (c) => (c /= 255) <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
const light = (rgb) => .2126 * channel(rgb[0]) + .7152 * channel(rgb[1]) + .0722 * channel(rgb[2]);
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const low = [];
const read = "p, h1, h2, h3, h4, a, th, td, label, button, dt, dd, li, .chip, .quiet, .range, figcaption";
for (const element of document.querySelectorAll(read)) {
  if (!element.textContent.trim() || element.disabled || !element.checkVisibility()) continue;
  const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
  const ratio = (a + .05) / (b + .05);
  if (ratio < 4.5) low.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
}
return [...new Set(low)];
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = make_data(name=HOSTILE, text=HOSTILE, pairs=PAIRS)
    data = change(data, group_scores=data.answers.group_scores.replace("Mali", HOSTILE))
    folder = tmp_path_factory.mktemp("a folder with spaces & ümlauts") / "report"
    SiteDataset(filepath=str(folder)).save(Site(data, SETTINGS))
    return folder


def go(browser: Chrome, site: Path, page: str) -> None:
    browser.get("about:blank")  # a change of the fragment alone would not load the page anew
    browser.get(address(site, page))
    if page.startswith("gallery"):
        wait(browser, lambda b: "Loading" not in status(b))


def wait(browser: Chrome, until) -> None:
    WebDriverWait(browser, 10, 0.05).until(until)


def status(browser: Chrome) -> str:
    return browser.find_element(By.ID, "status").text


def texts(browser: Chrome, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)"
    return browser.execute_script(script, selector)


def boxes(browser: Chrome, selector: str, side: str) -> list[float]:
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.getBoundingClientRect()[arguments[1]])"
    return browser.execute_script(script, selector, side)


def open_details(browser: Chrome) -> None:
    browser.execute_script(
        "document.querySelectorAll('details').forEach((element) => (element.open = true));"
        "document.querySelectorAll('.folded .group button').forEach((button) => button.click())"
    )


def titles(browser: Chrome) -> list[str]:
    return texts(browser, ".twin h3")


@pytest.mark.parametrize("file", FILES)
def test_a_page_opens_without_a_complaint_and_fits_a_phone(browser: Chrome, site: Path, file: str) -> None:
    resize(browser, 390)
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        go(browser, site, f"{file}.html")
        assert browser.execute_script("return document.documentElement.scrollHeight") <= LONGEST
        open_details(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        assert browser.execute_script(CONTRAST) == []
        assert max(boxes(browser, "caption", "right"), default=0) <= 390  # however wide the table
        assert min(boxes(browser, ".chart text", "height"), default=9) >= 9
        assert browser.execute_script(UNHINTED) == []
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) > 384) == (scheme == "light")
    assert console(browser) == []
    assert browser.execute_script("return [...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert browser.execute_script("return typeof x") == "undefined"


def test_the_site_is_all_there_is(site: Path) -> None:
    assert {path.stem for path in site.glob("*.html")} == set(FILES)


def test_hostile_names_are_text_and_find_their_twin(browser: Chrome, site: Path) -> None:
    resize(browser, 1200)
    go(browser, site, "gallery.html")
    browser.find_element(By.NAME, "search").send_keys("<script>alert")
    wait(browser, lambda b: status(b).startswith("1 pair,"))
    assert '<script>alert("x")</script>' in titles(browser)[0]
    assert "\u202e" not in titles(browser)[0]
    assert not browser.find_elements(By.CSS_SELECTOR, "[onerror]")
    assert console(browser) == []


def test_the_policy_stops_what_would_slip_through(browser: Chrome, site: Path) -> None:
    go(browser, site, "index.html")
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.slipped = 1'; document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'https://example.org/x.png'; document.body.append(i);"
    )
    assert browser.execute_script("return window.slipped") is None
    refusals = console(browser)
    assert any("script" in refusal for refusal in refusals)
    assert any("example.org" in refusal for refusal in refusals)


def test_the_gallery_turns_pages_and_says_so(browser: Chrome, site: Path) -> None:
    go(browser, site, "gallery.html")
    assert status(browser) == f"{PAIRS} pairs, showing 1 to {PAGE}"
    assert browser.find_element(By.ID, "status").get_attribute("role") == "status"
    seen = titles(browser)
    for page in (2, 3):
        browser.find_element(By.ID, "next").click()
        first = (page - 1) * PAGE + 1
        wait(browser, lambda b, first=first: f"showing {first} " in status(b))
        seen += titles(browser)
    assert len(seen) == len(set(seen)) == PAIRS
    assert not browser.find_element(By.ID, "next").is_enabled()
    field = browser.find_element(By.ID, "page")
    field.clear()
    field.send_keys("99", Keys.ENTER)
    wait(browser, lambda b: field.get_attribute("value") == "3")
    assert console(browser) == []


def test_the_gallery_filters_as_the_tables_say(browser: Chrome, site: Path) -> None:
    go(browser, site, "gallery.html")
    fell = sum(i % 3 == 1 for i in range(PAIRS))
    Select(browser.find_element(By.NAME, "state")).select_by_visible_text("fell in a later stage")
    wait(browser, lambda b: status(b).startswith(f"{fell} pairs"))
    Select(browser.find_element(By.NAME, "category")).select_by_visible_text("Cuisine")
    both = sum(i % 3 == 1 and i % 2 == 1 for i in range(PAIRS))
    wait(browser, lambda b: status(b).startswith(f"{both} pairs"))
    chips = browser.execute_script(
        "return [...document.querySelectorAll('.twin header .chip')].map((e) => e.textContent)"
    )
    assert chips.count("fell in a later stage") == chips.count("Cuisine") == min(both, PAGE)
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    wait(browser, lambda b: status(b).startswith(f"{PAIRS} pairs"))
    Select(browser.find_element(By.NAME, "culture")).select_by_visible_text("Japan")
    japan = sum(CODE in (2 * i % 4, (2 * i + 1) % 4) for i in range(PAIRS))
    wait(browser, lambda b: status(b).startswith(f"{japan} pairs"))
    browser.find_element(By.NAME, "search").send_keys("THING no-such")
    wait(browser, lambda b: status(b).startswith("No pair matches"))
    assert titles(browser) == []
    assert console(browser) == []


CODE = 2
"""Place of Japan among the cultures of the test's concepts."""


def test_a_view_has_an_address(browser: Chrome, site: Path) -> None:
    go(browser, site, "gallery.html#search=thing+mexico&category=Cuisine")
    shown = status(browser)
    assert Select(browser.find_element(By.NAME, "category")).first_selected_option.text == "Cuisine"
    assert shown.startswith(f"{sum(i % 2 for i in range(PAIRS))} pairs")
    browser.find_element(By.NAME, "search").clear()
    browser.find_element(By.NAME, "search").send_keys("thing 4")
    wait(browser, lambda b: "thing+4" in b.current_url)


def test_a_missing_file_is_named(browser: Chrome, site: Path) -> None:
    file = site / "gallery/twins-00001.js"
    content = file.read_bytes()
    file.unlink()
    try:
        go(browser, site, "gallery.html")
        browser.find_element(By.ID, "next").click()
        wait(browser, lambda b: "gallery/twins-00001.js is missing" in status(b))
    finally:
        file.write_bytes(content)
    console(browser)


def test_tables_sort_by_keyboard_both_ways_and_by_number(browser: Chrome, site: Path) -> None:
    go(browser, site, "cultures.html")
    open_details(browser)
    table = browser.find_element(By.CSS_SELECTOR, "table[data-sortable]")
    column = next(i for i, h in enumerate(table.find_elements(By.CSS_SELECTOR, "thead th")) if "Base" in h.text)
    head = table.find_elements(By.CSS_SELECTOR, "thead th")[column]
    for direction in ("ascending", "descending"):
        head.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
        assert head.get_attribute("aria-sort") == direction
        cells = [
            row.find_elements(By.CSS_SELECTOR, "th, td")[column]
            for row in table.find_elements(By.CSS_SELECTOR, "tbody tr")
        ]
        values = [float(cell.text) for cell in cells]
        assert len(values) > 2
        assert values == sorted(values, reverse=direction == "descending")
    assert len(table.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1


def test_everything_that_acts_has_a_name_and_shows_focus(browser: Chrome, site: Path) -> None:
    go(browser, site, "gallery.html")
    nameless = browser.execute_script(
        "return [...document.querySelectorAll('button, input, select, a')].filter((e) => "
        "!(e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.getAttribute('aria-label'))).length"
    )
    assert nameless == 0
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the content"
    browser.switch_to.active_element.send_keys(Keys.TAB)
    style = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.execute_script(style) == "solid"


@pytest.mark.parametrize("page", ["index", "scores"])
def test_differences_are_in_sight_on_a_phone(browser: Chrome, site: Path, page: str) -> None:
    resize(browser, 390)
    go(browser, site, f"{page}.html")
    open_details(browser)
    assert max(boxes(browser, "td[data-head]", "right")) <= 390
    assert min(boxes(browser, "td[data-head]:not(.none)", "width")) > 0
    heads = "return getComputedStyle(document.querySelector('td[data-head]'), '::before').content"
    assert browser.execute_script(heads).strip('"') == texts_of(browser, "data-head")[0]
    resize(browser, 1200)
    assert browser.execute_script(heads) == "none"


def texts_of(browser: Chrome, name: str) -> list[str]:
    script = "return [...document.querySelectorAll(`[${arguments[0]}]`)].map((e) => e.getAttribute(arguments[0]))"
    return browser.execute_script(script, name)


@pytest.mark.parametrize("width", [390, 700, 1200])
@pytest.mark.parametrize("cards", [1, 2, 3, 4, 5, 6, 7, 9])
def test_no_card_stands_alone_beside_empty_space(browser: Chrome, site: Path, cards: int, width: int) -> None:
    resize(browser, width)
    go(browser, site, "index.html")
    columns = count_columns(cards)
    browser.execute_script(
        "const tiles = document.querySelector('.tiles'); const tile = tiles.children[0];"
        "tiles.id = 'cards'; tiles.className = `tiles cols${arguments[1]}`;"
        "tiles.replaceChildren(...Array.from({length: arguments[0]}, () => tile.cloneNode(true)));",
        cards,
        columns,
    )
    selector = "#cards > .tile"
    tops, widths = (boxes(browser, selector, side) for side in ("top", "width"))
    assert len(tops) == cards
    last = [width for top, width in zip(tops, widths, strict=True) if top == tops[-1]]
    assert len(last) > 1 or last[0] > 0.9 * boxes(browser, "#cards", "width")[0]


def test_a_twin_unfolds_on_a_phone(browser: Chrome, site: Path) -> None:
    resize(browser, 390)
    go(browser, site, "gallery.html")
    assert not browser.find_element(By.CSS_SELECTOR, ".twin .sides").is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".twin summary").send_keys(Keys.ENTER)
    assert browser.find_element(By.CSS_SELECTOR, ".twin .sides").is_displayed()
    resize(browser, 1200)
    go(browser, site, "gallery.html")
    assert browser.find_element(By.CSS_SELECTOR, ".twin .sides").is_displayed()


def test_the_stable_entry_opens_the_newest_report(browser: Chrome, tmp_path: Path) -> None:
    folder = tmp_path / "a folder & more" / "report"
    for day in ("2026-01-02", "2026-01-01"):
        version = f"{day}T00.00.00.000Z"
        page = f"<!doctype html><title>{day}</title>".encode()
        SiteDataset(filepath=str(folder), version=Version(None, version), has_latest=True).save(OnePage(page))
    browser.get(address(folder, "latest/index.html"))
    wait(browser, lambda b: b.title == "2026-01-02")
    assert browser.current_url.endswith("2026-01-02T00.00.00.000Z/report/index.html")


class OnePage:
    def __init__(self, html: bytes) -> None:
        self.html = html

    def files(self) -> Iterator[tuple[str, bytes]]:
        yield "index.html", self.html


def test_models_beside_the_headline_unfold_on_a_phone(browser: Chrome, site: Path) -> None:
    resize(browser, 390)
    go(browser, site, "scores.html")
    body = browser.find_element(By.CSS_SELECTOR, "table.scores tbody")
    rows = body.find_elements(By.CSS_SELECTOR, "tr:not(.group)")
    assert [row.is_displayed() for row in rows] == [False] * (len(rows) - 1) + [True]
    assert "CultureCLIP" in rows[-1].text
    button = body.find_element(By.TAG_NAME, "button")
    assert button.get_attribute("aria-expanded") == "false"
    assert button.text == f"Show {len(rows) - 1} other models"
    button.send_keys(Keys.ENTER)
    assert all(row.is_displayed() for row in rows)
    assert button.get_attribute("aria-expanded") == "true"
    resize(browser, 1200)
    go(browser, site, "scores.html")
    assert not browser.find_elements(By.CSS_SELECTOR, ".folded, .group button")


def test_a_preview_runs_nothing_hostile_and_fits_a_phone(browser, tmp_path):
    hostile = ((HOSTILE, HOSTILE), ("user", HOSTILE * 9))
    shown = Shown(
        title=HOSTILE,
        prompt=hostile,
        answer=HOSTILE * 9,
        parsed=HOSTILE,
        verdict="failed",
        accepted=False,
        reason=HOSTILE,
        notes=(HOSTILE,),
        pictures=(thumbnail(np.zeros((8, 8, 3), np.uint8)),),
    )
    figures = [project("tokens read", [10**6, 2 * 10**6], 10**5)]
    SiteDataset(filepath=str(tmp_path / "page")).save(Preview("captioning", "concepts", 2, 10**5, figures, [shown] * 2))
    for scheme in ("light", "dark"):
        prefer(browser, scheme)
        resize(browser, 390)
        go(browser, tmp_path / "page", "index.html")
        assert browser.find_elements(By.TAG_NAME, "script") == []
        assert len(browser.find_elements(By.CSS_SELECTOR, ".entry")) == 2
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert browser.execute_script("return document.querySelector('.pic img').naturalWidth") == 8
        assert browser.execute_script(CONTRAST) == []
        assert console(browser) == []
