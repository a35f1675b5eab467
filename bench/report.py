"""How long the report's gallery of 100,000 twins takes to write, and to open from disk; budgets: 60 s, and 2 s to open.

    python bench/report.py [--twins 100000] [--runs 5]

Every side has an accepted and a refused caption and four pictures, drawn from a pool of emoji as PNG files, each
decoded and made a thumbnail by itself. The gallery is written twice: first no thumbnail is kept, then all are.
Processor seconds are those of all processes. Opening is timed in headless Chromium, from the start of navigation until
every picture of the first page is decoded; the files are in the system's cache. ``--runs 0`` opens nothing. Prints a
table and, as its last line, one JSON object.
"""

import argparse
import json
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gallery_pool import Pool

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.pictures.emoji import list_emoji, render

BUILD_BUDGET_S, OPEN_BUDGET_S = 60.0, 2.0
POOL, EDGE = 400, 48
DECODED = """
const done = arguments[0];
const look = async () => {
  const pictures = [...document.querySelectorAll("#results img")];
  if (!pictures.length) return setTimeout(look, 5);
  await Promise.all(pictures.map((picture) => picture.decode()));
  done([performance.now(), pictures.length, pictures.every((p) => p.complete && p.naturalWidth > 0)]);
};
look();
"""


def open_gallery(folder: Path) -> tuple[float, int]:
    """Seconds from the start of navigation to the last decoded picture, and how many there are, in a new browser."""
    from selenium import webdriver  # no drawing process needs it

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,1000"):
        options.add_argument(option)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        browser.set_script_timeout(60)
        browser.get(f"{folder.as_uri()}/gallery.html")
        milliseconds, pictures, whole = browser.execute_async_script(DECODED)
        assert whole
        return milliseconds / 1000, pictures
    finally:
        browser.quit()


def clocked(folder: Path, gallery: Any) -> tuple[float, float]:
    """Write a gallery; return seconds, and processor seconds of this process and those that it started."""

    def used() -> float:
        spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in spent)

    from cultureclip.datasets.site_dataset import SiteDataset

    began, before = time.perf_counter(), used()
    SiteDataset(filepath=str(folder)).save(gallery)
    return time.perf_counter() - began, used() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twins", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    from gallery_tables import Gallery, make_tables  # imports much that processes which draw do not need

    drawings = [render(entry.char, "twemoji", EDGE) for entry in list_emoji()[:POOL]]
    tables = make_tables(arguments.twins, np.random.default_rng(0))
    images, references = (
        Pool(ids.tolist(), drawings) for ids in (tables.image_requests["image_id"], tables.concepts["concept_id"])
    )
    with tempfile.TemporaryDirectory() as parent:
        folder, again = Path(parent) / "report", Path(parent) / "again"
        kept = KeyedStore(Path(parent) / "thumbnails.sqlite")
        build_s, build_cpu_s = clocked(folder, Gallery(tables, images, references, kept))
        again_s, again_cpu_s = clocked(again, Gallery(tables, images, references, kept))
        assert all(
            file.read_bytes() == (again / file.relative_to(folder)).read_bytes() for file in folder.rglob("*.js")
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        files = [path for path in folder.rglob("*") if path.is_file()]
        opened = [open_gallery(folder) for _ in range(arguments.runs)]
        result = {
            "twins": arguments.twins,
            "build_s": round(build_s, 1),
            "build_cpu_s": round(build_cpu_s, 1),
            "again_s": round(again_s, 1),
            "again_cpu_s": round(again_cpu_s, 1),
            "budget_s": BUILD_BUDGET_S,
            "bytes": sum(path.stat().st_size for path in files),
            "index_bytes": (folder / "gallery/index.js").stat().st_size,
            "files": len(files),
            "kept_bytes": kept.path.stat().st_size,
            "peak_bytes": peak,
        }
        if opened:
            result |= {
                "open_s": round(statistics.median(seconds for seconds, _ in opened), 3),
                "open_s_most": round(max(seconds for seconds, _ in opened), 3),
                "open_budget_s": OPEN_BUDGET_S,
                "first_page_pictures": opened[0][1],
            }
    for name, value in result.items():
        print(f"{name:20} {value:,}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
