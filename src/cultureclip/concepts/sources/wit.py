"""WIT: titles of Wikipedia pages with pictures, in 108 languages.

Owner: github google-research-datasets/wit @ 68b3867, DATA.md (17 columns; tab-separated, gzipped). The tables were not
at hand, and how cells are quoted is not said: they are read as common CSV readers read them, and quotes that stand
wrongly are part of the text. Licence: CC BY-SA 3.0.

A page says neither culture nor category. Both are taken from the first sentence of its description: "The kimono is a
traditional Japanese garment" gives garment and JP. That is a reading by words: pages without a kind or a country are
counted, and what is read is a candidate that a person or a model should check.
"""

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cultureclip.concepts.countries import countries_in
from cultureclip.concepts.sources.files import find_files, read_header, read_rows
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.kinds import KINDS, KindFinder
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import MALFORMED, NO_CATEGORY, NO_CULTURE, OTHER_LANGUAGE, Tally

_COLUMNS = ("language", "page_title", "page_url", "image_url", "context_page_description")
_SENTENCE_END = re.compile(r"(?<=[^\W\d_]{3})[.。] |\n")
_MOST = 400
"""Characters in which the first sentence is looked for."""


class WitSource(OwnersSource):
    """The owner's tables. ``categories`` are words for kinds of things, looked for in the first sentence.

    Attributes:
        languages: Languages of the pages that are taken. For others than English give ``categories`` in that language;
            countries are found by their English names and adjectives alone.
    """

    kind: Literal["wit"]
    title: str = "WIT"
    licence: str = "CC-BY-SA-3.0"
    terms: Terms = "train"
    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    categories: dict[str, Category] = Field(default_factory=lambda: dict(KINDS))

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the pages that have a kind and a country; a page comes once for each of its pictures."""
        kinds = KindFinder(self.categories)
        for path in find_files(self.path, ("*.tsv", "*.tsv.gz")):
            rows = read_rows(path, tally, delimiter="\t", strict=False)
            header = read_header(path, rows, tally, _COLUMNS)
            name = path.name
            columns = [header.index(column) for column in _COLUMNS]
            for line, cells in rows:
                place = f"{name} line {line}"
                if len(cells) != len(header):
                    tally.drop(MALFORMED, place)
                    continue
                found = self._read_page(place, [cells[column] for column in columns], kinds)
                if isinstance(found, Found):
                    yield found
                else:
                    tally.drop(found, place)

    def _read_page(self, place: str, cells: list[str], kinds: KindFinder) -> Found | str:
        """Return what a page says, or why it is left out; the language is looked at first, as it decides most pages."""
        language, title, page, picture, description = cells
        if language not in self.languages:
            return OTHER_LANGUAGE
        sentence = _first_sentence(description)
        kind = kinds.first(sentence)
        if not kind:
            return NO_CATEGORY
        countries = countries_in(sentence)
        if not countries:
            return NO_CULTURE
        return Found(
            place=place,
            name=title,
            countries=countries,
            category=kind,
            ref=page,
            context=sentence,
            language=language,
            picture_url=picture,
        )


def _first_sentence(text: str) -> str:
    beginning = text[:_MOST]
    return _SENTENCE_END.split(beginning, maxsplit=1)[0] if beginning else ""
