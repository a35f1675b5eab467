"""The report's gallery: twins side by side, with what was written, drawn, kept and refused for each half."""

import base64
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from markupsafe import Markup
from PIL import Image

from cultureclip.concepts.regions import region_name

Row = Mapping[Any, Any]
"""A row of a table: column -> cell."""

KEPT_SHOWN, REFUSED_SHOWN = 4, 3
FELL_SHARE = 6
"""Of so many twins shown, one is a twin that fell in a later stage."""


class ImageSource(Protocol):
    """Generated images by id."""

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the images that are there."""

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """The images of these ids, in this order."""


@dataclass(frozen=True)
class Picture:
    """A picture and what is said about it; ``uri`` is None where the image is missing."""

    uri: Markup | None
    label: str


@dataclass(frozen=True)
class Half:
    """One concept of a twin."""

    name: str
    cultures: str
    features: tuple[str, ...]
    reference: Picture
    captions: tuple[str, ...]
    refused_captions: tuple[tuple[str, str], ...]
    kept: tuple[Picture, ...]
    kept_count: int
    refused: tuple[Picture, ...]
    refused_count: int


@dataclass(frozen=True)
class TwinCard:
    """A twin as the gallery shows it."""

    twin_id: str
    category: str
    split: str
    similarity: float
    kept: bool
    halves: tuple[Half, Half]


@dataclass(frozen=True)
class GalleryTables:
    """The tables that the gallery is made from, each as the catalog has it."""

    concepts: pd.DataFrame
    twins: pd.DataFrame
    captions: pd.DataFrame
    image_requests: pd.DataFrame
    judgements: pd.DataFrame
    cultwin: pd.DataFrame


def data_uri(picture: Image.Image | np.ndarray) -> Markup:
    """A PNG data URI; base64 text needs no escaping."""
    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", optimize=True)
    return Markup("data:image/png;base64,") + base64.b64encode(buffer.getvalue()).decode("ascii")


def choose_twins(tables: GalleryTables, limit: int) -> pd.DataFrame:
    """Accepted twins to show.

    Of each kind of thing the most alike come first, and the kinds take turns so that flags do not crowd out. Most are
    in the training data; one in :data:`FELL_SHARE` fell later.
    """
    accepted = tables.twins[tables.twins["verdict"] == "accepted"]
    accepted = accepted.sort_values(["visual_similarity", "twin_id"], ascending=[False, True])
    universal = tables.concepts.set_index("concept_id")["universal"]
    accepted = accepted.assign(kind=accepted["a_concept_id"].map(universal) == "flag")
    accepted["turn"] = accepted.groupby(["category", "kind"]).cumcount()
    accepted = accepted.sort_values(["turn", "category", "kind"], kind="stable")
    stayed = accepted["twin_id"].isin(tables.cultwin["twin_id"])
    fell = accepted[~stayed].head(max(limit // FELL_SHARE, limit - int(stayed.sum())))
    return pd.concat([accepted[stayed].head(limit - len(fell)), fell])


def build_gallery(
    tables: GalleryTables, images: ImageSource, pictures: Mapping[str, np.ndarray], limit: int
) -> list[TwinCard]:
    """Cards of at most ``limit`` twins.

    Args:
        tables: The stages' tables.
        images: Generated images.
        pictures: Held-out pictures by concept id, uint8 [H, W, 3].
        limit: How many twins.
    """
    chosen = choose_twins(tables, limit).to_dict("records")
    concepts = tables.concepts.set_index("concept_id", drop=False).to_dict("index")
    captions = _by_half(tables.captions, {twin["twin_id"] for twin in chosen})
    drawn = tables.image_requests.merge(tables.judgements[["image_id", "verdict", "reason"]], "left", "image_id")
    requests: dict[str, list[Row]] = defaultdict(list)
    wanted = {caption["caption_id"] for rows in captions.values() for caption in rows}
    for request in drawn[drawn["caption_id"].isin(wanted)].sort_values(["caption_id", "k"]).to_dict("records"):
        requests[request["caption_id"]].append(request)
    album = _Album(images)
    stayed = set(tables.cultwin["twin_id"])
    cards = []
    for twin in chosen:
        halves = [
            _half(concepts[side], captions[twin["twin_id"], side], requests, album, pictures)
            for side in (twin["a_concept_id"], twin["b_concept_id"])
        ]
        cards.append(
            TwinCard(
                twin["twin_id"],
                twin["category"],
                "" if pd.isna(twin["split"]) else twin["split"],
                float(twin["visual_similarity"]),
                twin["twin_id"] in stayed,
                (halves[0], halves[1]),
            )
        )
    return cards


class _Album:
    """Reads images by id; one that is not there gives a picture without an image."""

    def __init__(self, images: ImageSource) -> None:
        self.images, self.present = images, set(images.ids)

    def show(self, requests: Sequence[Row]) -> tuple[Picture, ...]:
        ids = [request["image_id"] for request in requests]
        present = [image_id for image_id in ids if image_id in self.present]
        uris = dict(zip(present, map(data_uri, self.images.read(present)), strict=True)) if present else {}
        return tuple(
            Picture(
                uris.get(request["image_id"]), _text(request["reason"]) or _text(request["verdict"]) or "not judged"
            )
            for request in requests
        )


def _by_half(captions: pd.DataFrame, twins: set[str]) -> dict[tuple[str, str], list[Row]]:
    halves: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for caption in captions[captions["twin_id"].isin(twins)].sort_values("caption_id").to_dict("records"):
        halves[caption["twin_id"], caption["concept_id"]].append(caption)
    return halves


def _half(
    concept: Row,
    captions: Sequence[Row],
    requests: Mapping[str, Sequence[Row]],
    album: _Album,
    pictures: Mapping[str, np.ndarray],
) -> Half:
    asked = [request for caption in captions for request in requests.get(caption["caption_id"], ())]
    kept = [request for request in asked if request["verdict"] == "accepted"]
    refused = [request for request in asked if request["verdict"] != "accepted"]
    reference = pictures.get(concept["concept_id"])
    return Half(
        concept["name"],
        ", ".join(region_name(code) for code in concept["cultures"]),
        tuple(concept["key_visual_features"]),
        Picture(None if reference is None else data_uri(reference), "held out"),
        tuple(_text(c["text"]) for c in captions if c["verdict"] == "accepted"),
        tuple((_text(c["text"]), _text(c["reason"])) for c in captions if c["verdict"] != "accepted"),
        album.show(kept[:KEPT_SHOWN]),
        len(kept),
        album.show(refused[:REFUSED_SHOWN]),
        len(refused),
    )


def _text(cell: Any) -> str:
    """A cell's text; empty where the table has null."""
    return "" if pd.isna(cell) else str(cell)
