"""Imported rows as tables: concepts, twins, captions, CulTwin, and what became of every row."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from cultureclip.captions.language import ENGLISH
from cultureclip.concepts.exclusions import Exclusions
from cultureclip.concepts.twins import split_components
from cultureclip.errors import SourceDataError
from cultureclip.exchange.checked_rows import CheckedRow
from cultureclip.exchange.entry import RowsEntry
from cultureclip.exchange.settings import ImportSettings
from cultureclip.graphs import connect
from cultureclip.judging.selection import RESTRICTED
from cultureclip.tables import CAPTIONS, CONCEPTS, CULTWIN, IMPORTED_ROWS, NO_REDISTRIBUTE, SIDES, TWINS, make_table

MODEL = "imported"
"""Model of an imported caption: who wrote it is not known here."""


@dataclass(frozen=True)
class ImportedRow:
    """A row with its images.

    Attributes:
        checked: Its texts.
        images: Side -> image id; one id on both sides where there is one picture.
        row_id: The owner's id, or one from the content.
    """

    checked: CheckedRow
    images: Mapping[str, str]
    row_id: str

    @property
    def place(self) -> str:
        """Place for messages."""
        return self.checked.place

    @property
    def content(self) -> tuple[object, ...]:
        """Everything that training reads of the row."""
        return tuple(self.images.values()), *((s.concept_id, s.caption) for s in self.checked.sides.values())

    def is_out(self, exclude: Exclusions) -> bool:
        """Tell whether people took out one of its concepts, cultures or images."""
        sides = self.checked.sides.values()
        concepts = {name for side in sides for name in (side.concept_id, side.concept)}
        cultures = {code for side in sides for code in side.cultures}
        return not (
            concepts.isdisjoint(exclude.concepts)
            and cultures.isdisjoint(exclude.cultures)
            and set(self.images.values()).isdisjoint(exclude.images)
        )


class Tables(NamedTuple):
    """Tables of :mod:`cultureclip.tables`; ``rows`` is IMPORTED_ROWS, what became of every row."""

    concepts: pd.DataFrame
    twins: pd.DataFrame
    captions: pd.DataFrame
    cultwin: pd.DataFrame
    rows: pd.DataFrame


def make_tables(
    rows: Sequence[ImportedRow],
    refused: Sequence[tuple[str, str]],
    entry: RowsEntry,
    settings: ImportSettings,
    excluded: Sequence[ImportedRow] = (),
) -> Tables:
    """Make the tables of an import.

    Args:
        rows: Rows that are used, at least one.
        refused: (Place, reason) of the others.
        entry: What holds for all rows.
        settings: Rules of the split.
        excluded: Rows that people took out; their concepts stay known, so that the list of exclusions can be checked.

    Raises:
        SourceDataError: if a concept or picture lies on both sides of the owner's split.
    """
    splits = split_rows(rows, settings)
    accepted = [{"place": row.place, "row_id": row.row_id, "verdict": "accepted", "reason": None} for row in rows]
    others = [{"place": place, "row_id": None, "verdict": "rejected", "reason": reason} for place, reason in refused]
    cultwin = make_table([_cultwin_row(row, entry, split) for row, split in zip(rows, splits, strict=True)], CULTWIN)
    return Tables(
        list_concepts([*rows, *excluded], entry),
        make_table(_list_twins(rows, splits), TWINS),
        make_table(_list_captions(rows, entry.language), CAPTIONS),
        cultwin.sort_values(["twin_id", "row_id"], ignore_index=True),
        make_table([*accepted, *others], IMPORTED_ROWS),
    )


def split_rows(rows: Sequence[ImportedRow], settings: ImportSettings) -> list[str]:
    """Split rows into train and dev over connected components of concepts and pictures: neither is on both sides.

    Raises:
        SourceDataError: if the owner's split puts one on both sides.
    """
    edges = [edge for row in rows for edge in _edges(row)]
    component_of = connect(edges)
    components = [component_of[_node("concept", row.checked.sides["pos"].concept_id)] for row in rows]
    given = _owners_split(rows, components) if settings.owners_split else {}
    free = [component for component in components if component not in given]
    nodes = {node: component for node, component in component_of.items() if component not in given}
    drawn = dict(zip(free, split_components(nodes, free, settings.dev_share), strict=True))
    return [given.get(component) or drawn[component] for component in components]


def _edges(row: ImportedRow) -> list[tuple[str, str]]:
    pos, neg = (_node("concept", row.checked.sides[side].concept_id) for side in SIDES)
    return [(pos, neg), *((pos, _node("image", image)) for image in row.images.values())]


def _node(kind: str, identifier: str) -> str:
    return f"{kind} {identifier}"


def _owners_split(rows: Sequence[ImportedRow], components: Sequence[str]) -> dict[str, str]:
    """Return component -> the split that its rows give."""
    found: dict[str, dict[str, ImportedRow]] = defaultdict(dict)
    for row, component in zip(rows, components, strict=True):
        if row.checked.split:
            found[component].setdefault(row.checked.split, row)
    for sides in found.values():
        if len(sides) > 1:
            one, other = sides.values()
            cause = f"{one.place} and {other.place} are connected by concepts or pictures, and lie on both sides of it"
            raise SourceDataError("split of the rows", cause, "Set import_cultwin.owners_split: false to split anew")
    return {component: next(iter(sides)) for component, sides in found.items()}


def _cultwin_row(row: ImportedRow, entry: RowsEntry, split: str) -> dict[str, Any]:
    restricted = entry.terms == NO_REDISTRIBUTE and not row.checked.licence.endswith(RESTRICTED)
    sides: dict[str, str] = {}
    for side, fields in row.checked.sides.items():
        sides |= {
            f"{side}_concept": fields.concept,
            f"{side}_concept_id": fields.concept_id,
            f"{side}_caption": fields.caption,
            f"{side}_caption_id": fields.caption_id,
            f"{side}_image_id": row.images[side],
        }
    licence = row.checked.licence + (RESTRICTED if restricted else "")
    return {"row_id": row.row_id, "twin_id": row.checked.twin_id, "split": split, **sides, "licence": licence}


def list_concepts(rows: Sequence[ImportedRow], entry: RowsEntry) -> pd.DataFrame:
    """Return the table CONCEPTS of rows, in the order in which they name concepts."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for side in row.checked.sides.values():
            found.setdefault(
                side.concept_id,
                {
                    "concept_id": side.concept_id,
                    "name": side.concept,
                    "cultures": list(side.cultures),
                    "universal": row.checked.category,
                    "category": row.checked.category,
                    "context": "",
                    "key_visual_features": [],
                    "aliases": [],
                    "source": entry.title,
                    "source_ref": entry.source,
                    "licence": row.checked.licence.removesuffix(RESTRICTED),
                    "terms": entry.terms,
                    "reference_image": None,
                },
            )
    return make_table(list(found.values()), CONCEPTS)


def _list_twins(rows: Sequence[ImportedRow], splits: Sequence[str]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row, split in zip(rows, splits, strict=True):
        a, b = (row.checked.sides[side] for side in SIDES)
        found.setdefault(
            row.checked.twin_id,
            {
                "twin_id": row.checked.twin_id,
                "a_concept_id": a.concept_id,
                "b_concept_id": b.concept_id,
                "a_name": a.concept,
                "b_name": b.concept,
                "category": row.checked.category,
                "visual_similarity": None,
                "cultural_overlap": None,
                "score": None,
                "method": "imported",
                "evidence": "{}",
                "split": split,
                "verdict": "accepted",
                "reason": None,
                "review": None,
            },
        )
    return list(found.values())


def _list_captions(rows: Sequence[ImportedRow], language: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for side in row.checked.sides.values():
            found.setdefault(
                side.caption_id,
                {
                    "caption_id": side.caption_id,
                    "twin_id": row.checked.twin_id,
                    "concept_id": side.concept_id,
                    "kind": MODEL,
                    "language": language,
                    "text": side.caption,
                    "english": side.caption if language == ENGLISH else None,
                    "model": MODEL,
                    "revision": None,
                    "prompt_id": "",
                    "seed": 0,
                    "tries": 1,
                    "checks": "{}",
                    "verdict": "accepted",
                    "reason": None,
                },
            )
    return list(found.values())
