"""A CSV or TSV of one's own, its columns named by the configuration. Rows that cannot be a concept are counted."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from cultureclip.concepts.sources.files import find_files, read_table
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import OwnersSource
from cultureclip.concepts.sources.tally import Tally
from cultureclip.settings_base import Settings


class CsvColumns(Settings):
    """Names of columns in the file; None where the file has no such column.

    Attributes:
        name: Name of the thing.
        countries: Its cultures: names, adjectives or codes of countries, separated by ``separator``.
        category: A key of ``categories``.
        universal: Kind of thing.
        context: A sentence on it.
        features: Key visual features, separated by ``separator``.
        aliases: Other names, separated by ``separator``.
        ref: Address at which the facts can be looked up.
        language: Code of the name's language.
        wikidata: Wikidata id.
        reference_image: Paths of pictures, or of folders of them, from the project's folder, separated by
            ``separator``; the row needs a context and a feature.
        picture_url: Address of a picture.
        picture_licence: Licence of that picture.
        licence: Licence of the row.
        terms: Use that is allowed of the row.
    """

    name: str
    countries: str | None = None
    category: str | None = None
    universal: str | None = None
    context: str | None = None
    features: str | None = None
    aliases: str | None = None
    ref: str | None = None
    language: str | None = None
    wikidata: str | None = None
    reference_image: str | None = None
    picture_url: str | None = None
    picture_licence: str | None = None
    licence: str | None = None
    terms: str | None = None


class CsvSource(OwnersSource):
    """A table with columns of one's own.

    Attributes:
        delimiter: Between cells.
        separator: Between several values in one cell.
        columns: Names of its columns.
        always: What holds for every row and no column says: ``countries``, ``category``, ``universal``.
    """

    kind: Literal["csv"]
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    separator: str = Field(default="|", min_length=1)
    columns: CsvColumns
    always: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _say_each_thing_once(self) -> "CsvSource":
        unknown = self.always.keys() - {"countries", "category", "universal"}
        if unknown:
            raise ValueError(f"always has no {', '.join(sorted(unknown))}")
        for field in ("countries", "category"):
            if (getattr(self.columns, field) is None) == (field not in self.always):
                raise ValueError(f"name the column of {field}, or give it in always")
        return self

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the rows of the file, or of every .csv and .tsv below a folder."""
        columns = {field: column for field, column in self.columns.model_dump().items() if column is not None}
        for path in find_files(self.path, ("*.csv", "*.tsv", "*.csv.gz", "*.tsv.gz")):
            for place, cells in read_table(path, tally, columns.values(), delimiter=self.delimiter):
                yield self._to_found(place, self.always | {field: cells[column] for field, column in columns.items()})

    def _to_found(self, place: str, said: dict[str, str]) -> Found:
        def get(field: str) -> str:
            return said.get(field, "")

        def split(field: str) -> tuple[str, ...]:
            return tuple(part for part in map(str.strip, get(field).split(self.separator)) if part)

        return Found(
            place=place,
            name=get("name"),
            countries=split("countries"),
            category=get("category"),
            ref=get("ref"),
            universal=get("universal"),
            context=get("context"),
            features=split("features"),
            aliases=split("aliases"),
            language=get("language"),
            wikidata=get("wikidata").strip(),
            reference_images=split("reference_image"),
            picture_url=get("picture_url"),
            picture_licence=get("picture_licence"),
            licence=get("licence"),
            terms=get("terms"),
        )
