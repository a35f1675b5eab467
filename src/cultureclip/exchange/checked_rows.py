"""Rows from outside in this project's terms: ids, cultures and category, or the reason why a row is refused."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from cultureclip.concepts.countries import find_country
from cultureclip.concepts.keys import fold
from cultureclip.concepts.regions import is_region
from cultureclip.exchange.entry import RowsEntry
from cultureclip.exchange.formats.row_format import ID_FIELDS, TwinRow
from cultureclip.ids import ID_LENGTH, concept_id, digest, twin_id
from cultureclip.tables import CATEGORIES, SIDES, SPLITS

LONGEST_TEXT = 4000
"""Most characters of a caption or concept. A model reads some 300; the training says how many it cuts."""

EQUAL_CAPTIONS, EQUAL_CONCEPTS = "the captions are equal", "the concepts are equal"
EQUAL_PICTURES, REPEATED, EXCLUDED = "the pictures are equal", "the row is there twice", "excluded"
"""Reasons that the pictures and the other rows decide."""
_HALF = re.compile("[\ud800-\udfff]")
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")
_BETWEEN = re.compile(r"[|,\s]+")
_CATEGORY_OF = {fold(name): name for name in CATEGORIES}


class RefusedRowError(ValueError):
    """Why a row cannot be used. There are few messages, so they can be counted."""


@dataclass(frozen=True)
class Side:
    """One side of a row, without its picture.

    Attributes:
        concept: Name.
        concept_id: Its id.
        cultures: Region codes, sorted.
        caption: Text.
        caption_id: The owner's id, or one from the content.
    """

    concept: str
    concept_id: str
    cultures: tuple[str, ...]
    caption: str
    caption_id: str


@dataclass(frozen=True)
class CheckedRow:
    """A row whose texts can be used.

    Attributes:
        place: Place for messages.
        twin_id: Id of the two concepts.
        sides: The positive and the negative side, by their names.
        category: One of the eight.
        split: The owner's split, if it is one of ours.
        licence: The row's own, or the entry's.
        row_id: The owner's id; empty where there is none.
    """

    place: str
    twin_id: str
    sides: Mapping[str, Side]
    category: str
    split: str
    licence: str
    row_id: str


def check_row(row: TwinRow, entry: RowsEntry) -> CheckedRow:
    """Bring a row to this project's terms.

    Raises:
        RefusedRowError: if the row has no use: a text is missing, too long or not Unicode, both sides say the same, a
            culture or category is unknown, or an id does not follow from the content.
    """
    texts = row.texts
    if any(map(_HALF.search, texts.values())):
        raise RefusedRowError("a text is not valid Unicode")
    if wrong := [field for field in ID_FIELDS if texts.get(field) and not _ID.fullmatch(texts[field])]:
        raise RefusedRowError(f"{wrong[0]} is not {ID_LENGTH} hex digits")
    category = _find_category(texts.get("category", ""), entry)
    sides = {side: _check_side(side, texts, category, entry) for side in SIDES}
    pos, neg = sides.values()
    if fold(pos.caption) == fold(neg.caption):
        raise RefusedRowError(EQUAL_CAPTIONS)
    if fold(pos.concept) == fold(neg.concept) and pos.cultures == neg.cultures:
        raise RefusedRowError(EQUAL_CONCEPTS)
    twin, split = twin_id(pos.concept_id, neg.concept_id), texts.get("split", "")
    return CheckedRow(
        place=row.place,
        twin_id=twin,
        sides={name: _name_caption(side, twin) for name, side in sides.items()},
        category=category,
        split=split if split in SPLITS else "",
        licence=texts.get("licence") or entry.licence,
        row_id=texts.get("row_id", ""),
    )


def _check_side(side: str, texts: Mapping[str, str], category: str, entry: RowsEntry) -> Side:
    caption = texts.get(f"{side}_caption", "")
    concept = caption if entry.format.captions_alone else texts.get(f"{side}_concept", "")
    for what, text in (("caption", caption), ("concept", concept)):
        if not text:
            raise RefusedRowError(f"no {side}_{what}")
        if len(text) > LONGEST_TEXT:
            raise RefusedRowError(f"{side}_{what} is longer than {LONGEST_TEXT:,} characters")
    cultures = find_cultures(texts.get(f"{side}_cultures", ""), entry.cultures)
    identity = concept_id(concept, cultures, category)
    if texts.get(f"{side}_concept_id", identity) != identity:
        raise RefusedRowError(f"{side}_concept_id does not follow from name, cultures and category")
    return Side(concept, identity, cultures, caption, texts.get(f"{side}_caption_id", ""))


def _name_caption(side: Side, twin: str) -> Side:
    own = digest("imported caption", twin, side.concept_id, side.caption)
    return side if side.caption_id else replace(side, caption_id=own)


def find_cultures(text: str, otherwise: Collection[str]) -> tuple[str, ...]:
    """Return the region codes that a cell names: codes, or names of countries, separated by bars, commas or spaces.

    Raises:
        RefusedRowError: if it names something else.
    """
    if not text:
        return tuple(sorted(set(otherwise)))
    codes: set[str] = set()
    for name in text.split("|"):
        country = find_country(name)
        parts = [part for part in _BETWEEN.split(name) if part]
        if country.codes:
            codes.update(country.codes)
        elif parts and all(map(is_region, parts)):
            codes.update(parts)
        else:
            raise RefusedRowError("a culture is not a country or region code")
    return tuple(sorted(codes))


def _find_category(text: str, entry: RowsEntry) -> str:
    if not text:
        return entry.category
    if fold(text) not in _CATEGORY_OF:
        raise RefusedRowError("the category is not one of the eight")
    return _CATEGORY_OF[fold(text)]
