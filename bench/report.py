"""How long the report's gallery of 100,000 twins takes to write, and to open from disk; budget for opening: 2 s.

    python bench/report.py [--twins 100000] [--runs 5]

Every side has an accepted and a refused caption and four pictures, drawn from a pool of emoji as PNG files, each
decoded and made a thumbnail by itself. Opening is timed in headless Chromium, from the start of navigation until every
picture of the first page is decoded; the files are in the system's cache. Prints a table and, as its last line, one
JSON object.
"""

import argparse
import io
import json
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from selenium import webdriver

from cultureclip.datasets.site_dataset import SiteDataset
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.verdicts import DECISION
from cultureclip.pictures.emoji import list_emoji, render
from cultureclip.report.data import GalleryTables
from cultureclip.report.gallery import write_gallery
from cultureclip.report.page import make_environment
from cultureclip.report.pages import Page
from cultureclip.tables import CATEGORIES

BUDGET_S = 2.0
POOL, EDGE, IMAGES_PER_SIDE = 400, 48, 4
CULTURES = ("JP", "KR", "CN", "MX", "PE", "IN", "ML", "GN", "IE", "CI", "FR", "DE", "EG", "TR", "TH", "VN")
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


class Pool:
    """Images by id, each decoded from one of the pool's PNG files."""

    def __init__(self, ids: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
        self.ids, self.files = ids, []
        for picture in pictures:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "PNG")
            self.files.append(buffer.getvalue())

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        return [Image.open(io.BytesIO(self.files[int(i[:8], 16) % len(self.files)])) for i in ids]


def make_tables(count: int, rng: np.random.Generator) -> GalleryTables:
    """Twins over a fifth as many concepts, two captions per side, pictures of the accepted one."""
    size = count // 5 + 2
    concepts = pd.DataFrame(
        {
            "concept_id": [f"{i:020x}" for i in range(size)],
            "name": [f"concept number {i}" for i in range(size)],
            "cultures": [[CULTURES[i % len(CULTURES)]] for i in range(size)],
            "universal": "dish",
            "key_visual_features": [["a red stripe", "a round brim", "a woven pattern"]] * size,
        }
    )
    first = rng.integers(0, size - 1, count)
    twins = pd.DataFrame(
        {
            "twin_id": [f"{i:020x}" for i in range(count)],
            "a_concept_id": concepts["concept_id"].to_numpy()[first],
            "b_concept_id": concepts["concept_id"].to_numpy()[first + 1],
            "category": np.array(CATEGORIES)[first % len(CATEGORIES)],
            "visual_similarity": rng.random(count),
            "split": "train",
            "verdict": "accepted",
            "reason": None,
        }
    )
    sides = pd.concat([twins[["twin_id", f"{s}_concept_id"]].set_axis(["twin_id", "concept_id"], axis=1) for s in "ab"])
    captions = pd.concat(
        [
            sides.assign(
                caption_id=[f"{mark}{i:019x}" for i in range(len(sides))],
                text="A thing with a red stripe and a woven pattern, as it is made in its region.",
                verdict=verdict,
                reason=reason,
            )
            for mark, verdict, reason in (("a", "accepted", None), ("b", "rejected", "too_long"))
        ]
    )
    drawn = np.repeat(captions.loc[captions["verdict"] == "accepted", "caption_id"].to_numpy(), IMAGES_PER_SIDE)
    numbers = rng.permutation(len(drawn))
    requests = pd.DataFrame(
        {
            "image_id": [f"{(n * 2654435761) % 2**32:08x}{n:012x}" for n in numbers],
            "caption_id": drawn,
            "k": np.tile(np.arange(IMAGES_PER_SIDE), len(drawn) // IMAGES_PER_SIDE),
        }
    )
    kept = requests["k"] < IMAGES_PER_SIDE - 1
    judgements = requests[["image_id"]].assign(
        judge=DECISION,
        verdict=np.where(kept, "accepted", "rejected"),
        reason=np.where(kept, None, "lowest_rating"),
        **{name: np.where(kept, 5.0, 1.0) for name in CRITERIA},
    )
    return GalleryTables(concepts, twins, captions, requests, judgements, twins[["twin_id"]].iloc[::2])


class Gallery:
    """The gallery's files and its page, without the other pages."""

    def __init__(self, tables: GalleryTables, images: Pool, pictures: dict[str, np.ndarray]) -> None:
        self.tables, self.images, self.pictures = tables, images, pictures

    def files(self):
        import cultureclip.report as package

        static = Path(package.__file__).parent / "static"
        yield from ((f"static/{file.name}", file.read_bytes()) for file in static.iterdir())
        count = len(self.tables.twins)
        html = make_environment().get_template("gallery.html.j2")
        context = {"pages": {"gallery.html": Page("Gallery", "", {})}, "here": "gallery.html", "header_facts": []}
        counts = dict.fromkeys(("found", "shown", "accepted", "kept"), count)
        yield "gallery.html", html.render(context, twin_counts=counts, licences=[], sources=[]).encode()
        for name, text in write_gallery(self.tables, self.images, self.pictures, count):
            yield name, text.encode()


def open_gallery(folder: Path) -> tuple[float, int]:
    """Seconds from the start of navigation to the last decoded picture, and how many there are, in a new browser."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--twins", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    drawings = [render(entry.char, "twemoji", EDGE) for entry in list_emoji()[:POOL]]
    tables = make_tables(arguments.twins, np.random.default_rng(0))
    pictures = {c: drawings[i % len(drawings)] for i, c in enumerate(tables.concepts["concept_id"])}
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "report"
        began = time.perf_counter()
        images = Pool(tables.image_requests["image_id"].tolist(), drawings)
        SiteDataset(filepath=str(folder)).save(Gallery(tables, images, pictures))
        build_s = time.perf_counter() - began
        files = [path for path in folder.rglob("*") if path.is_file()]
        opened = [open_gallery(folder) for _ in range(arguments.runs)]
        result = {
            "twins": arguments.twins,
            "build_s": round(build_s, 1),
            "open_s": round(statistics.median(seconds for seconds, _ in opened), 3),
            "open_s_most": round(max(seconds for seconds, _ in opened), 3),
            "budget_s": BUDGET_S,
            "first_page_pictures": opened[0][1],
            "bytes": sum(path.stat().st_size for path in files),
            "index_bytes": (folder / "gallery/index.js").stat().st_size,
            "files": len(files),
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
    for name, value in result.items():
        print(f"{name:20} {value:,}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
