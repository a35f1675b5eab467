"""The report's gallery: twins side by side, with what was written, drawn, kept and refused for each side.

A page opened from disk may not fetch, but it may load scripts. So the gallery is a small columnar index of all twins,
by which the page searches and filters, and files of :data:`PAGE` twins with texts and thumbnails, loaded when shown.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.concepts.regions import region_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.temporary import scratch_folder
from cultureclip.images.source import ImageSource
from cultureclip.judging.rating import CRITERIA
from cultureclip.judging.verdicts import decisions
from cultureclip.report.data import GalleryTables
from cultureclip.report.page import script_call, shorten
from cultureclip.report.thumbnails import keep_thumbnails
from cultureclip.report.words import in_words

PAGE = 24
"""Twins a file, and twins that the page shows at once."""
KEPT_SHOWN, REFUSED_SHOWN = 2, 1
"""Generated pictures shown per side; how many there are is said beside them."""
CAPTIONS_SHOWN = 3
IN_TRAINING, FELL = "in the training data", "fell in a later stage"
_NAME, _LINE, _TEXT, _REASON = 120, 240, 300, 80
"""Longest texts, in characters."""


@dataclass(frozen=True)
class _Drawn:
    """A requested image and what became of it."""

    image_id: str
    kept: bool
    label: str


@dataclass(frozen=True)
class _Side:
    """Captions of one concept of a twin, as (text, reason), and its images in the order of their numbers."""

    captions: list[str]
    refused_captions: list[tuple[str, str]]
    kept: list[_Drawn]
    refused: list[_Drawn]

    @property
    def shown(self) -> list[_Drawn]:
        return [*self.kept[:KEPT_SHOWN], *self.refused[:REFUSED_SHOWN]]


_NOTHING = _Side([], [], [], [])
_Twin = tuple[str, str, str, str]
"""Id, both concepts, split."""


def order_twins(tables: GalleryTables, limit: int) -> pd.DataFrame:
    """Return the twins of the gallery in its order, with a column ``state``: what became of each.

    Accepted twins come before rejected ones. The most alike of each category come first, and the categories take turns.
    A universal that makes up most of its category takes turns of its own, so that it does not crowd out the rest.

    Args:
        tables: The stages' tables.
        limit: At most so many twins.
    """
    twins = tables.twins.sort_values(["visual_similarity", "twin_id"], ascending=[False, True])
    universal = tables.concepts.set_index("concept_id")["universal"]
    accepted = twins["verdict"] == "accepted"
    stayed = twins["twin_id"].isin(tables.cultwin["twin_id"])
    reasons = twins["reason"].fillna(twins["verdict"]).astype(str).map(in_words)
    twins = twins.assign(
        state=np.where(accepted, np.where(stayed, IN_TRAINING, FELL), "refused: " + reasons),
        late=~accepted,
        universal=twins["a_concept_id"].map(universal),
    )
    sizes = [twins.groupby(by)["twin_id"].transform("size") for by in (["category", "universal"], "category")]
    twins["crowd"] = sizes[0] > sizes[1] / 2
    twins["turn"] = twins.groupby(["late", "category", "crowd"]).cumcount()
    return twins.sort_values(["late", "turn", "category", "crowd"], kind="stable").head(limit).reset_index(drop=True)


def write_gallery(
    tables: GalleryTables, images: ImageSource, references: ImageSource, limit: int, kept: KeyedStore | None = None
) -> Iterator[tuple[str, str]]:
    """Yield files of the gallery as (path, text): the index, then the twins' files.

    Args:
        tables: The stages' tables.
        images: Generated images; one that is not there is shown as missing.
        references: Held-out pictures by concept id.
        limit: How many twins.
        kept: Where thumbnails are kept for the next report; None: in a temporary folder meanwhile. Together they are as
            large as the gallery.

    Raises:
        CultureClipError: if a picture cannot be read, or the store cannot be written.
    """
    twins = order_twins(tables, limit)
    used = pd.unique(twins[["a_concept_id", "b_concept_id"]].to_numpy().ravel())
    concepts = tables.concepts[tables.concepts["concept_id"].isin(used)].set_index("concept_id")
    yield "gallery/index.js", script_call("galleryIndex", _index(twins, concepts))
    sides = _sides(tables, set(twins["twin_id"]))
    features = {
        concept: shorten(" · ".join(cell), _LINE)
        for concept, cell in zip(concepts.index, concepts["key_visual_features"], strict=True)
    }
    rows = list(zip(twins["twin_id"], twins["a_concept_id"], twins["b_concept_id"], twins["split"], strict=True))
    with ExitStack() as stack:
        if kept is None:
            kept = KeyedStore(stack.enter_context(scratch_folder()) / "thumbnails.sqlite")
        shown = {drawn.image_id for side in sides.values() for drawn in side.shown}
        keys = keep_thumbnails(references, concepts.index, kept) | keep_thumbnails(images, shown, kept)
        for number, start in enumerate(range(0, len(rows), PAGE)):
            page = rows[start : start + PAGE]
            there = {i: keys[i] for i in _pictures_on(page, sides) if i in keys}
            uris = kept.get(set(there.values()))
            thumbnails = {i: uris[key] for i, key in there.items()}
            cards = [
                {
                    "split": None if pd.isna(split) else split,
                    "sides": [
                        {"features": features[concept], "reference": thumbnails.get(concept)}
                        | _describe(sides.get((twin, concept), _NOTHING), thumbnails)
                        for concept in pair
                    ],
                }
                for twin, *pair, split in page
            ]
            yield f"gallery/twins-{number:05}.js", script_call("galleryTwins", number, cards)


def _pictures_on(page: Sequence[_Twin], sides: Mapping[tuple[str, str], _Side]) -> Iterator[str]:
    """Yield the ids of all pictures that twins are shown with."""
    for twin, *pair, _ in page:
        for concept in pair:
            yield concept
            yield from (drawn.image_id for drawn in sides.get((twin, concept), _NOTHING).shown)


def _index(twins: pd.DataFrame, concepts: pd.DataFrame) -> dict[str, Any]:
    """Return columns over twins and over concepts; names of categories, states and cultures stand once."""
    names = concepts["cultures"].map(lambda codes: [region_name(code) for code in codes])
    cultures = sorted({name for cell in names for name in cell})
    place = {name: number for number, name in enumerate(cultures)}
    category, categories = pd.factorize(twins["category"], sort=True)
    states = list(dict.fromkeys([*(s for s in (IN_TRAINING, FELL) if (twins["state"] == s).any()), *twins["state"]]))
    similarity = twins["visual_similarity"].astype(float).round(3)
    return {
        "page": PAGE,
        "cultures": [shorten(name, _NAME) for name in cultures],
        "categories": list(categories),
        "states": [shorten(state, _REASON) for state in states],
        "names": [shorten(name, _NAME) for name in concepts["name"]],
        "homes": [[place[name] for name in cell] for cell in names],
        "a": _places(concepts, twins["a_concept_id"]),
        "b": _places(concepts, twins["b_concept_id"]),
        "category": category.tolist(),
        "state": pd.Categorical(twins["state"], states).codes.tolist(),
        "similarity": [None if pd.isna(value) else value for value in similarity],
    }


def _places(concepts: pd.DataFrame, ids: pd.Series) -> list[int]:
    return concepts.index.get_indexer(pd.Index(ids)).tolist()


def _sides(tables: GalleryTables, twins: set[str]) -> dict[tuple[str, str], _Side]:
    """(twin, concept) -> what was made for it; sides that nobody wrote for are absent."""
    captions = tables.captions[tables.captions["twin_id"].isin(twins)].sort_values("caption_id")
    drawn = tables.image_requests[tables.image_requests["caption_id"].isin(captions["caption_id"])]
    drawn = drawn.merge(decisions(tables.judgements)[["image_id", "verdict", "reason"]], "left", "image_id")
    drawn = drawn.merge(_ratings(tables.judgements), "left", "image_id").sort_values(["caption_id", "k"])
    by_caption: dict[str, list[_Drawn]] = defaultdict(list)
    columns = ("image_id", "caption_id", "verdict", "reason", "ratings")
    for image, caption, verdict, reason, ratings in _rows(drawn, *columns):
        label = in_words(reason or verdict or "not judged") + (f" ({ratings})" if ratings else "")
        by_caption[caption].append(_Drawn(image, verdict == "accepted", shorten(label, _REASON)))
    sides: dict[tuple[str, str], _Side] = defaultdict(lambda: _Side([], [], [], []))
    of_caption = ("twin_id", "concept_id", "caption_id", "text", "verdict", "reason")
    for twin, concept, caption, text, verdict, reason in _rows(captions, *of_caption):
        side = sides[twin, concept]
        if verdict == "accepted":
            side.captions.append(shorten(text, _TEXT))
        else:
            side.refused_captions.append((shorten(text, _TEXT), shorten(in_words(reason), _REASON)))
        for drawing in by_caption.get(caption, ()):
            (side.kept if drawing.kept else side.refused).append(drawing)
    return dict(sides)


def _ratings(judgements: pd.DataFrame) -> pd.DataFrame:
    """Return ``image_id`` and the three ratings of each rated image as a text, such as ``rated 5, 2, 1``."""
    rated = judgements.dropna(subset=list(CRITERIA)).drop_duplicates("image_id")
    digits = [rated[name].astype(int).astype(str) for name in CRITERIA]
    ratings = digits[0].str.cat(pd.concat(digits[1:], axis=1), sep=", ")
    return pd.DataFrame({"image_id": rated["image_id"], "ratings": "rated " + ratings})


def _rows(table: pd.DataFrame, *columns: str) -> Iterator[tuple[str, ...]]:
    """Return rows of columns of texts; empty where the table has null."""
    cells = (table[name].astype(object).where(table[name].notna(), "").tolist() for name in columns)
    return zip(*cells, strict=True)


def _describe(side: _Side, thumbnails: Mapping[str, str]) -> dict[str, Any]:
    return {
        "captions": side.captions[:CAPTIONS_SHOWN],
        "refusedCaptions": side.refused_captions[:CAPTIONS_SHOWN],
        "captionCounts": [len(side.captions), len(side.refused_captions)],
        "kept": [thumbnails.get(drawn.image_id) for drawn in side.kept[:KEPT_SHOWN]],
        "refused": [[thumbnails.get(drawn.image_id), drawn.label] for drawn in side.refused[:REFUSED_SHOWN]],
        "imageCounts": [len(side.kept), len(side.refused)],
    }
