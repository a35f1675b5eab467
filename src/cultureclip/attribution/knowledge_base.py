"""The knowledge base: entities with a name, a text about them, and pictures."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from cultureclip.errors import SourceDataError
from cultureclip.reading.csv_table import read_csv_file
from cultureclip.reading.text import normalise

COLUMNS = ("entity_id", "name", "text", "picture")

ENTITIES = pa.DataFrameSchema(
    {
        "entity_id": pa.Column(str, pa.Check.str_length(min_value=1)),
        "name": pa.Column(str, pa.Check.str_length(min_value=1)),
        "text": pa.Column(str, nullable=True),  # null: nothing is known of it, so it is not graded
        "picture": pa.Column(str, nullable=True),  # path, or "emoji:<char>"; null: it cannot be found by its looks
    },
    unique=["entity_id", "picture"],
    strict=True,
)
"""Table of entities: one row per entity and picture."""

_SHOWN = 10
_ONE_ROW_PER_PICTURE = "Give one row per entity and picture, with the same name and text in all rows of an entity"


@dataclass(frozen=True)
class KnowledgeBase:
    """Entities, and the pictures that show them.

    Attributes:
        names: Entity id -> name.
        texts: Entity id -> text, absent if there is none.
        pictures: Picture -> ids of the entities that it shows, sorted. Pictures are in the order of the table.
    """

    names: dict[str, str]
    texts: dict[str, str]
    pictures: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, entities: pd.DataFrame) -> "KnowledgeBase":
        """Arrange a table ENTITIES."""
        shown = entities.dropna(subset=["picture"]).sort_values("entity_id", kind="stable")
        ids = shown.groupby("picture", sort=False)["entity_id"].agg(tuple)
        told = entities.dropna(subset=["text"])
        return cls(
            names=dict(zip(entities["entity_id"], entities["name"], strict=True)),
            texts=dict(zip(told["entity_id"], told["text"], strict=True)),
            pictures={picture: ids[picture] for picture in entities["picture"].dropna().unique()},
        )


def read_knowledge_base(path: Path) -> pd.DataFrame:
    """Read a knowledge base from a CSV or Parquet file; its other columns are ignored.

    Returns:
        Table ENTITIES.

    Raises:
        SourceDataError: if there is no such file, it is neither, or :func:`check_entities` refuses its rows.
    """
    if path.suffix.lower() == ".csv":
        return check_entities(read_csv_file(path), str(path))
    if path.suffix.lower() != ".parquet":
        raise SourceDataError(path, "neither .csv nor .parquet", "Give the knowledge base in one of these formats")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise SourceDataError(path, f"cannot be read ({error})", "Give a whole Parquet file") from error
    return check_entities(table, str(path))


def entities_of_concepts(concepts: pd.DataFrame) -> pd.DataFrame:
    """Make entities of the concepts: the text is a concept's context, the picture its reference picture.

    Args:
        concepts: Table CONCEPTS.

    Returns:
        Table ENTITIES.
    """
    table = pd.DataFrame(
        {
            "entity_id": concepts["concept_id"],
            "name": concepts["name"],
            "text": concepts["context"],
            "picture": concepts["reference_image"],
        }
    )
    return check_entities(table, "concepts")


def check_entities(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """Check and clean the rows of a knowledge base.

    Cells are stripped. A missing or empty text or picture becomes null; an entity that has its text in some rows has it
    in all. Rows that are equal are kept once.

    Args:
        table: Any table with the columns ``entity_id``, ``name``, ``text`` and ``picture``.
        what: Name of the table in errors; its index names the rows.

    Returns:
        Table ENTITIES.

    Raises:
        SourceDataError: if a column is missing, an id or a name is empty, an entity has two names or two texts, or no
            entity has a picture.
    """
    if absent := [column for column in COLUMNS if column not in table]:
        remedy = f"Name the columns {', '.join(COLUMNS)}; further columns are ignored"
        raise SourceDataError(what, f"there is no column {', '.join(absent)}", remedy)
    clean = pd.DataFrame({column: _texts(table[column]) for column in COLUMNS}, index=table.index)
    if problems := [*_find_empty(clean), *_find_contradictions(clean)]:
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        raise SourceDataError(what, "; ".join([*problems[:_SHOWN], *more]), _ONE_ROW_PER_PICTURE)
    if clean["picture"].isna().all():
        raise SourceDataError(what, "no entity has a picture", "Images are linked by looks: fill the column picture")
    clean["text"] = clean["text"].fillna(clean.groupby("entity_id")["text"].transform("first"))
    clean = clean.drop_duplicates(["entity_id", "picture"])
    only_row = ~clean["entity_id"].duplicated(keep=False)
    return clean[clean["picture"].notna() | only_row].reset_index(drop=True)


def _texts(column: pd.Series) -> pd.Series:
    """Return cells as stripped text in Unicode's composed form; null where nothing is left."""
    cells = [None if _is_missing(cell) else normalise(str(cell)).strip() or None for cell in column]
    return pd.Series(cells, index=column.index, dtype="str")


def _is_missing(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell)  # noqa: PLR0124  NaN


def _find_empty(clean: pd.DataFrame) -> Iterator[str]:
    for column in ("entity_id", "name"):
        for row in clean.index[clean[column].isna()]:
            yield f"{_row(clean, row)} has no {column}"


def _find_contradictions(clean: pd.DataFrame) -> Iterator[str]:
    for column in ("name", "text"):
        counts = clean.groupby("entity_id")[column].nunique()
        for entity in counts.index[counts > 1]:
            rows: Sequence[Hashable] = list(clean.index[clean["entity_id"] == entity])
            yield f"entity {entity!r} has {counts[entity]} different {column}s (first in {_row(clean, rows[0])})"


def _row(clean: pd.DataFrame, row: Hashable) -> str:
    return f"{clean.index.name or 'row'} {row}"
