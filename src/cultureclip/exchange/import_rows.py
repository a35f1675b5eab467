"""Rows that others made: read one at a time, checked, their pictures stored, and turned into this project's tables."""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cultureclip.concepts.exclusions import Exclusions
from cultureclip.concepts.sources.tally import Tally
from cultureclip.errors import SourceDataError
from cultureclip.exchange.checked_rows import (
    EQUAL_PICTURES,
    EXCLUDED,
    REPEATED,
    CheckedRow,
    RefusedRowError,
    check_row,
)
from cultureclip.exchange.entry import RowsEntry, TwinRows
from cultureclip.exchange.formats.row_format import TwinRow
from cultureclip.exchange.imported_tables import ImportedRow, Tables, list_concepts, make_tables
from cultureclip.exchange.pictures import Picture, Spool, Stored, spooling, store_pictures
from cultureclip.exchange.settings import ImportSettings
from cultureclip.ids import digest
from cultureclip.images.store import ShardStore
from cultureclip.reading.pictures import MISSING, ImageError
from cultureclip.tables import SIDES

logger = logging.getLogger(__name__)

_WORKERS, _AT_ONCE = 4, 256
_SHOWN = 5
NOTHING = Exclusions()


def import_rows(
    source: TwinRows, store: ShardStore, settings: ImportSettings, exclude: Exclusions = NOTHING
) -> tuple[Tables, dict[str, Any]]:
    """Read rows, store their pictures, and make the tables.

    Some files and one part of the store are in memory at a time, and the texts of all rows.

    Args:
        source: The rows.
        store: Where the pictures go.
        settings: Split, bounds, sizes.
        exclude: Concepts, cultures and images that people took out: their rows are refused.

    Returns:
        The tables, and the counts.

    Raises:
        SourceDataError: if a file is damaged, too many rows are refused, none is left, an id stands for two things, or
            a concept or picture lies on both sides of the owner's split.
        StorageError: if the disk is full.
        ConfigurationError: if no row has a concept that is on the list of exclusions.
    """
    tally, intake = Tally(shown=sys.maxsize), _Intake()
    with spooling(store) as spool:
        for found in _look_at_all(source.read(tally), source.entry, spool):
            intake.add(found)
        intake.refused += [(place, reason) for reason, places in tally.examples.items() for place in places]
        exclude.find(list_concepts(intake.rows, source.entry))  # a misspelt name is refused here
        out = [row for row in intake.rows if row.is_out(exclude)]
        intake.refuse(lambda row: EXCLUDED if row.is_out(exclude) else None)
        _check_share(source, intake, settings)
        stored = store_pictures(intake.wanted(), store, settings)
    intake.refuse(lambda row: next((stored.failed[i] for i in row.images.values() if i in stored.failed), None))
    _check_share(source, intake, settings)
    tables = make_tables(intake.rows, intake.refused, source.entry, settings, out)
    logger.info("Import: %d of %d rows; refused by reason: %s", len(intake.rows), tally.rows, intake.count_refused())
    return tables, _describe(intake, stored, tally)


@dataclass
class _Intake:
    """Rows read so far, and what became of each.

    Attributes:
        rows: Rows that can be used as far as is known.
        refused: (Place, reason) of the others.
        pictures: Image id -> picture of the rows.
        seen: Row id -> the row, to find repeats.
    """

    rows: list[ImportedRow] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    pictures: dict[str, Picture] = field(default_factory=dict)
    seen: dict[str, ImportedRow] = field(default_factory=dict)

    def add(self, found: "_Found | tuple[str, str]") -> None:
        """Take in a row, or the place and reason of a refused one.

        Raises:
            SourceDataError: if a row or a picture has the id of another.
        """
        if isinstance(found, tuple):
            self.refused.append(found)
            return
        row, before = found.row, self.seen.get(found.row.row_id)
        if before is not None:
            if before.content != row.content:
                cause = f"{before.place} has the same row_id and other content"
                raise SourceDataError(row.place, cause, "Correct the ids, or leave row_id out")
            self.refused.append((row.place, REPEATED))
            return
        for picture in found.pictures:
            if self.pictures.setdefault(picture.image_id, picture).sha256 != picture.sha256:
                cause = f"image {picture.image_id} is another file in an earlier row"
                raise SourceDataError(row.place, cause, "Correct the ids, or leave the image ids out")
        self.seen[row.row_id] = row
        self.rows.append(row)

    def refuse(self, why: Callable[[ImportedRow], str | None]) -> None:
        """Refuse the rows for which there is a reason."""
        reasons = [why(row) for row in self.rows]
        self.refused += [(row.place, reason) for row, reason in zip(self.rows, reasons, strict=True) if reason]
        self.rows = [row for row, reason in zip(self.rows, reasons, strict=True) if not reason]

    def wanted(self) -> dict[str, Picture]:
        """Return the pictures of the rows that are left."""
        return {image: self.pictures[image] for row in self.rows for image in row.images.values()}

    def count_refused(self) -> dict[str, int]:
        """Return reason -> number of rows, the most frequent first."""
        return dict(Counter(reason for _, reason in self.refused).most_common())


@dataclass(frozen=True)
class _Found:
    """A row whose texts and files can be read, and its pictures."""

    row: ImportedRow
    pictures: tuple[Picture, ...]


def _look_at_all(rows: Iterable[TwinRow], entry: RowsEntry, spool: Spool) -> Iterator[_Found | tuple[str, str]]:
    """Look at rows in their order, some at once, for reading waits for the disk."""
    remaining = iter(rows)

    def look(row: TwinRow) -> _Found | tuple[str, str]:
        try:
            return _look(row, check_row(row, entry), entry, spool)
        except RefusedRowError as error:
            return row.place, str(error)

    with ThreadPoolExecutor(_WORKERS) as pool:
        while at_once := list(islice(remaining, _AT_ONCE)):
            yield from pool.map(look, at_once)


def _look(row: TwinRow, checked: CheckedRow, entry: RowsEntry, spool: Spool) -> _Found:
    pictures = {side: _look_at_picture(row, side, spool) for side in (SIDES[:1] if entry.format.one_picture else SIDES)}
    if len({picture.sha256 for picture in pictures.values()}) < len(pictures):
        raise RefusedRowError(EQUAL_PICTURES)
    images = {side: pictures.get(side, pictures[SIDES[0]]).image_id for side in SIDES}
    named = digest("imported row", checked.twin_id, *images.values(), *(s.caption_id for s in checked.sides.values()))
    imported = ImportedRow(checked, images, checked.row_id or named)
    return _Found(imported, tuple(pictures.values()))


def _look_at_picture(row: TwinRow, side: str, spool: Spool) -> Picture:
    try:
        if side not in row.pictures:
            raise ImageError(MISSING)
        return spool.look(row.pictures[side], row.texts.get(f"{side}_image_id", ""))
    except ImageError as error:
        raise RefusedRowError(f"{side}_image: {error}") from error


def _check_share(source: TwinRows, intake: _Intake, settings: ImportSettings) -> None:
    """Stop an import that would leave too much out: usually a folder or a column is wrong."""
    count = len(intake.rows) + len(intake.refused)
    wrong = [(place, reason) for place, reason in intake.refused if reason not in (REPEATED, EXCLUDED)]
    if intake.rows and len(wrong) <= settings.max_refused_share * count:
        return
    first = "; ".join(f"{place}: {reason}" for place, reason in (wrong or intake.refused)[:_SHOWN]) or "there are none"
    cause = f"{len(intake.refused):,} of {count:,} rows cannot be used ({first})"
    remedy = "Correct the files or the catalog entry, or raise import_cultwin.max_refused_share"
    raise SourceDataError(source.path, cause, remedy)


def _describe(intake: _Intake, stored: Stored, tally: Tally) -> dict[str, Any]:
    sides = {image for row in intake.rows for image in row.images.values()}
    return {
        "rows": len(intake.rows) + len(intake.refused),
        "kept": len(intake.rows),
        "rejected": intake.count_refused(),
        "images": {"shown": len(sides), "added": stored.added, "written_as_png": stored.converted},
        "files": tally.files,
    }
