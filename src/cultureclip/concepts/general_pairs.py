"""General pictures with a text each, to which a tuned model is held while it learns culture.

Either the general drawings of a scheme in all styles, without those that general ability is measured on, or a folder in
the layout that the Hugging Face Hub calls ``imagefolder``: pictures and a ``metadata.csv`` with the columns
``file_name`` and ``text``.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa

from cultureclip.concepts.named_pictures import NamedPictures
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest, hash_fraction
from cultureclip.pictures.registry import SCHEMES
from cultureclip.pictures.scheme import Scheme
from cultureclip.reading.csv_table import read_csv_file
from cultureclip.reading.names import find_inside
from cultureclip.reading.text import RefusedError, check_file

METADATA = "metadata.csv"
TEMPLATE = "a picture of {name}"
_SHOWN_CHARACTERS = 80
COLUMNS = ("pair_id", "picture", "text")

GENERAL_PAIRS = pa.DataFrameSchema(
    {
        "pair_id": pa.Column(str, unique=True),
        "picture": pa.Column(str),  # <style>:<what>, or the path of an image file
        "text": pa.Column(str, pa.Check.str_length(min_value=1)),
    },
    strict=True,
)
"""Table of general pairs."""


def list_general_pairs(source: str | None, most: int, concepts: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of a source, or ``most`` of them in the order of a hash, sorted by id.

    Args:
        source: Name of a scheme, a folder, or None for no pairs.
        most: Largest number of pairs.
        concepts: Table of concepts: a drawing that one of them names, or a variant of it, is not general.

    Raises:
        SourceDataError: if the folder has no usable ``metadata.csv``, or names a picture that is not there.
    """
    if source is None:
        found = []
    elif source in SCHEMES:
        found = _drawn_pairs(SCHEMES[source], concepts)
    else:
        found = _folder_pairs(Path(source))
    rows = sorted((digest("general pair", what, text), picture, text) for what, picture, text in dict.fromkeys(found))
    rows = sorted(sorted(rows, key=lambda row: hash_fraction(row[0], "general pairs"))[:most])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype("str")


def _drawn_pairs(scheme: Scheme, concepts: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (what the id is made of, picture, text) of every general drawing that may be replayed, in all styles."""
    general = scheme.list_general(scheme.find(concepts["reference_image"].dropna().tolist()))
    shown = [(f"{style}:{what}", TEMPLATE.format(name=name)) for what, name in general for style in scheme.styles]
    return [(picture, picture, text) for picture, text in shown]


def _folder_pairs(folder: Path) -> list[tuple[str, str, str]]:
    """Return (what the id is made of, picture, text) of every row; ids must not depend on where the folder lies."""
    metadata = folder / METADATA
    if not metadata.is_file():
        raise SourceDataError(metadata, "no such file", "Write one with the columns file_name and text")
    table = read_csv_file(metadata)
    if missing := {"file_name", "text"} - set(table.columns):
        raise SourceDataError(metadata, f"it lacks the columns {sorted(missing)}", "Add them")
    if table.empty:
        raise SourceDataError(metadata, "it has no row", "Add pictures, or set train.replay.batch to 0")
    pairs = []
    for line, name, text in zip(table.index, table["file_name"], table["text"], strict=True):
        try:
            picture = _find_picture(folder, name)
            if not text.strip():
                raise RefusedError("has no text")
        except RefusedError as error:
            raise SourceDataError(f"{metadata}, line {line}", f"{_show(name)} {error}", "Correct the row") from error
        pairs.append((f"{name}, {picture.stat().st_size} bytes", str(picture), text))
    return pairs


def _find_picture(folder: Path, name: str) -> Path:
    """Return the picture of that name, which :class:`PairPictures` opens whatever the working folder is by then."""
    picture = find_inside(folder.resolve(), name)
    try:
        check_file(picture)
    except RefusedError as error:
        raise RefusedError(f"is not a picture in the folder: it is {error}") from error
    except (OSError, ValueError) as error:  # a null byte in a name is a ValueError
        raise RefusedError("is not a picture in the folder") from error
    return picture


def _show(name: str) -> str:
    return repr(name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…")


class PairPictures(NamedPictures):
    """Pictures of general pairs, by pair id.

    Args:
        pairs: Table of general pairs.
        size: Edge that drawings have, in pixels.
    """

    def __init__(self, pairs: pd.DataFrame, size: int) -> None:
        super().__init__(dict(zip(pairs["pair_id"], pairs["picture"], strict=True)), size)
