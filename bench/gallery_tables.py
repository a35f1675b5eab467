"""A gallery of twins that are made up: its tables, and its files without the report's other pages."""

from pathlib import Path

import numpy as np
import pandas as pd
from gallery_pool import Pool

import cultureclip.report as package
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.verdicts import DECISION
from cultureclip.report.data import GalleryTables
from cultureclip.report.gallery import write_gallery
from cultureclip.report.page import make_environment
from cultureclip.report.pages import Page
from cultureclip.report.rule import Headlines
from cultureclip.tables import CATEGORIES

IMAGES_PER_SIDE = 4
CULTURES = ("JP", "KR", "CN", "MX", "PE", "IN", "ML", "GN", "IE", "CI", "FR", "DE", "EG", "TR", "TH", "VN")


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

    def __init__(self, tables: GalleryTables, images: Pool, references: Pool, kept: KeyedStore) -> None:
        self.tables, self.images, self.references, self.kept = tables, images, references, kept

    def files(self):
        static = Path(package.__file__).parent / "static"
        yield from ((f"static/{file.name}", file.read_bytes()) for file in static.iterdir())
        count = len(self.tables.twins)
        html = make_environment().get_template("gallery.html.j2")
        context = {"pages": {"gallery.html": Page("Gallery", "", {})}, "here": "gallery.html", "header_facts": []}
        context["headlines"] = Headlines("cultureclip", "clip_both", "")
        counts = dict.fromkeys(("found", "shown", "accepted", "kept"), count)
        yield "gallery.html", html.render(context, twin_counts=counts, licences=[], sources=[]).encode()
        for name, text in write_gallery(self.tables, self.images, self.references, count, self.kept):
            yield name, text.encode()
