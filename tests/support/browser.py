"""Headless Chromium for tests: where it is missing a test is skipped loudly, on CI it fails."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1000")


def find_browser() -> tuple[str, str]:
    """Paths of browser and driver; without them the test is skipped, or fails where ``CI`` is set."""
    browser = next((path for name in NAMES if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    reason = "BROWSER TESTS DID NOT RUN: chromium or chromedriver is missing; install: apt-get install chromium-driver"
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def open_browser() -> Iterator[webdriver.Chrome]:
    """A browser that keeps its console; closed at the end."""
    binary, driver = find_browser()
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for option in OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_script_timeout(30)
    try:
        yield browser
    finally:
        browser.quit()


def resize(browser: webdriver.Chrome, width: int, height: int = 900) -> None:
    """Give pages a width in CSS pixels, below what a window may have."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: webdriver.Chrome, scheme: str) -> None:
    """Ask pages for ``light`` or ``dark``."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def console(browser: webdriver.Chrome) -> list[str]:
    """What the console has said since the last call; the policy's refusals are among it."""
    return [entry["message"] for entry in browser.get_log("browser")]


def address(folder: Path, page: str) -> str:
    """The file:// address of a page, with its fragment."""
    return f"{folder.as_uri()}/{page}"
