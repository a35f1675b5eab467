"""Reading a table of concepts: pocket's atlas or a user's own CSV with the same columns.

Every cell is text; cells that hold several values separate them by ``|``. All bad rows are found before the table is
refused, so that one reading of the message is enough to correct the file.
"""

from functools import partial
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from cultureclip.concepts.picture_files import find_pictures
from cultureclip.concepts.regions import is_region
from cultureclip.concepts.texts import (
    CELL_LIMIT,
    ITEM_LIMIT,
    ITEMS_LIMIT,
    NAME_LIMIT,
    find_invisible,
    find_unfit,
    has_word,
)
from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id
from cultureclip.pictures.registry import SCHEMES
from cultureclip.pictures.scheme import Scheme
from cultureclip.reading.text import normalise
from cultureclip.tables import CATEGORIES, TERMS

OWN_LICENCE = "Apache-2.0"
"""Licence of facts in a row that names none: the atlas's own."""

_SEPARATOR = "|"
_SHOWN_CHARACTERS = 40


def _refuse(cause: str, remedy: str) -> PydanticCustomError:
    # Braces are doubled: pydantic formats the message, and a user's text may contain them.
    return PydanticCustomError("cell", "{cause}", {"cause": cause, "remedy": remedy})


def _check_text(text: str, limit: int) -> str:
    if len(text) > limit:
        raise _refuse(f"{len(text)} characters long, the limit is {limit}", "Shorten it")
    if char := find_invisible(text):
        raise _refuse(f"contains the control character {char!a}", "Remove it")
    return normalise(text)


def _check_filled(text: str) -> str:
    if not text:
        raise _refuse("empty", "Fill in the cell")
    return text


def _check_name(name: str) -> str:
    if char := find_unfit(name):
        raise _refuse(f"contains {char!r}", "A name has no path separators and no angle brackets")
    if not has_word(name):
        raise _refuse("has no letter or digit", "Give the concept's name in words")
    return name


def _split_cell(cell: str) -> list[str]:
    return list(dict.fromkeys(part for part in map(str.strip, cell.split(_SEPARATOR)) if part))


def _check_count(items: list[str]) -> list[str]:
    if len(items) > ITEMS_LIMIT:
        raise _refuse(f"{len(items)} values, the limit is {ITEMS_LIMIT}", "Keep the important ones")
    return items


def _check_cultures(codes: list[str]) -> list[str]:
    if not codes:
        raise _refuse("no culture", "Give at least one region code, e.g. JP")
    for code in codes:
        if not is_region(code):
            raise _refuse(f"unknown culture {_show(code)}", "Use ISO 3166-1 alpha-2 codes separated by |, e.g. JP | KR")
    return sorted(set(codes))


def _check_features(features: list[str]) -> list[str]:
    if not features:
        raise _refuse("no key visual feature", "Give at least one, separated by |")
    return features


def _check_category(category: str) -> str:
    if category not in CATEGORIES:
        raise _refuse(f"unknown category {_show(category)}", f"Use one of: {', '.join(CATEGORIES)}")
    return category


def _check_terms(terms: str) -> str:
    if terms not in TERMS:
        raise _refuse(f"unknown terms {_show(terms)}", f"Use one of: {', '.join(TERMS)}")
    return terms


def _check_drawn(what: str, scheme: Scheme) -> str:
    if what and what not in scheme.list_all():
        cause = f"{what[:_SHOWN_CHARACTERS]!a} is not {scheme.title} that can be drawn"
        raise _refuse(cause, f"Give another {scheme.name}, or none")
    return what


def _check_files(paths: list[str]) -> list[str]:
    found = {path: find_pictures(path) for path in paths}
    if missing := [_show_end(path) for path, pictures in found.items() if not pictures]:
        remedy = "Give paths of pictures, or of folders of pictures, from the project's folder, or leave it empty"
        raise _refuse(f"no file {', '.join(missing)}", remedy)
    return list(dict.fromkeys(picture for pictures in found.values() for picture in pictures))


def _cell(limit: int) -> AfterValidator:
    return AfterValidator(lambda text: _check_text(text.strip(), limit))


_Text = Annotated[str, _cell(CELL_LIMIT), AfterValidator(_check_filled)]
_Item = Annotated[str, _cell(ITEM_LIMIT)]
_Items = Annotated[list[_Item], BeforeValidator(_split_cell), AfterValidator(_check_count)]
_Files = Annotated[list[Annotated[str, _cell(CELL_LIMIT)]], BeforeValidator(_split_cell), AfterValidator(_check_count)]


class _Row(BaseModel):
    """One row of the table as written, each cell checked; without the columns that schemes of pictures have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, _cell(NAME_LIMIT), AfterValidator(_check_filled), AfterValidator(_check_name)]
    cultures: Annotated[_Items, AfterValidator(_check_cultures)]
    universal: Annotated[_Item, AfterValidator(_check_filled)]
    category: Annotated[str, BeforeValidator(str.strip), AfterValidator(_check_category)]
    context: _Text
    key_visual_features: Annotated[_Items, AfterValidator(_check_features)]
    source: _Text
    source_ref: _Text
    aliases: _Items = Field(default_factory=list)
    licence: Annotated[str, _cell(ITEM_LIMIT)] = ""
    terms: Annotated[str, BeforeValidator(lambda text: text.strip() or "train"), AfterValidator(_check_terms)] = "train"
    reference_image: Annotated[_Files, AfterValidator(_check_files)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_picture(self) -> Self:
        pictures = [scheme.title for scheme in SCHEMES.values() if getattr(self, scheme.name)]
        pictures += ["a reference_image"] if self.reference_image else []
        if len(pictures) > 1:
            raise _refuse(f"both {' and '.join(pictures)}", "Keep one of them")
        return self

    def to_concept(self) -> dict[str, Any]:
        """Return the row of the concepts table."""
        return {
            "concept_id": concept_id(self.name, self.cultures, self.category),
            **self.model_dump(exclude=set(SCHEMES)),
            "licence": self.licence or OWN_LICENCE,
            "reference_image": next(iter(self.list_pictures()), None),
        }

    def list_pictures(self) -> list[str]:
        """Return the references of all pictures of the row; the first is that of the concept."""
        return [f"{name}:{what}" for name in SCHEMES if (what := getattr(self, name))] or self.reference_image


def _drawn_cell(scheme: Scheme) -> Any:
    return Annotated[str, BeforeValidator(str.strip), AfterValidator(partial(_check_drawn, scheme=scheme))]


_DRAWN: dict[str, Any] = {name: (_drawn_cell(scheme), "") for name, scheme in SCHEMES.items()}
AtlasRow = create_model("AtlasRow", __base__=_Row, **_DRAWN)
"""One row of the table as written, each cell checked: a :class:`_Row` with the columns of the schemes."""


def read_concepts(frame: pd.DataFrame, shown: int = 20) -> pd.DataFrame:
    """Check a table of concepts and give each its id; see :func:`read_rows`.

    Returns:
        A table that fits :data:`cultureclip.tables.CONCEPTS`, in the order of the file.
    """
    return pd.DataFrame([row.to_concept() for row in read_rows(frame, shown)])


def read_rows(frame: pd.DataFrame, shown: int = 20) -> list[_Row]:
    """Check a table of concepts.

    Args:
        frame: The table with every cell as text and empty cells as "" (in a culture column "NA" is Namibia), as
            :func:`cultureclip.reading.csv_table.read_csv_table` reads it: then a row is named by its line, else by its
            place in the index.
        shown: Largest number of problems in the error.

    Returns:
        The rows in the order of the file.

    Raises:
        SourceDataError: if columns are missing or unknown, there is no row, or rows are bad; the error gives place,
            name, cause and remedy of each row.
    """
    _check_columns(frame)
    rows: list[_Row] = []
    problems: list[str] = []
    place_of_name: dict[str, str] = {}
    for place, record in zip(_name_places(frame.index), frame.to_dict("records"), strict=True):
        cells = {str(key): value if isinstance(value, str) else "" for key, value in record.items()}
        label = f"{place} ({_show(cells['name'])})"
        try:
            rows.append(AtlasRow.model_validate(cells))
        except ValidationError as error:
            problems += [f"{label}: {_explain(detail)}" for detail in error.errors()]
            continue
        first = place_of_name.setdefault(normalise(rows[-1].name.casefold()), place)
        if first != place:
            problems.append(f"{label}: duplicate of {first}. Merge the two rows or rename one")
    if problems:
        listing = [*problems[:shown], *([f"and {len(problems) - shown} more"] if len(problems) > shown else [])]
        cause = f"{len(problems)} problem(s)\n  " + "\n  ".join(listing) + "\n"
        raise SourceDataError("table of concepts", cause, "Correct these rows and run again")
    return rows


def _name_places(index: pd.Index) -> list[str]:
    return [f"{index.name or 'row'} {place}" for place in index]


def _check_columns(frame: pd.DataFrame) -> None:
    fields = AtlasRow.model_fields
    missing = [name for name, field in fields.items() if field.is_required() and name not in frame.columns]
    if missing:
        raise SourceDataError(
            "table of concepts", f"no column {', '.join(missing)}", "Add it; see docs/your-own-concepts.md"
        )
    unknown = [_show(str(name)) for name in frame.columns if name not in fields]
    if unknown:
        remedy = f"Remove or rename it; known columns are {', '.join(fields)}"
        raise SourceDataError("table of concepts", f"unknown column {', '.join(unknown)}", remedy)
    if frame.empty:
        raise SourceDataError("table of concepts", "it has no row", "Add at least two concepts of different cultures")


def _explain(detail: ErrorDetails) -> str:
    """Return ``column: cause. remedy`` of one failed check."""
    column = f"{detail['loc'][0]}: " if detail["loc"] else ""
    return f"{column}{detail['msg']}. {detail['ctx']['remedy']}"


def _show(text: str) -> str:
    """Return a user's text for a message: quoted, control characters escaped, cut."""
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _show_end(path: str) -> str:
    """Return a path for a message, cut at its beginning: the name of a file is at its end."""
    return repr(path if len(path) <= _SHOWN_CHARACTERS else "…" + path[-_SHOWN_CHARACTERS:])
