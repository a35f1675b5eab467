"""Wikidata: things with a country of origin, from a JSON dump.

Form: docs/topics/json.md of github wikimedia/mediawiki-extensions-Wikibase @ 1bb41d7. A dump is one JSON list with an
entity per line, plain, gzip or bzip2. Licence: CC0 1.0.

A thing's category is that of a class that it is an instance or a subclass of (P31, P279), named in ``categories`` by
its id: ``{Q746549: Cuisine}``. Only direct classes count. Countries are items too: their ISO codes (P297) are read from
the same dump, so rows come after its last line. A dump without them needs ``countries: {Q17: [JP]}``. Memory grows with
the things that are taken, not with the dump.

Lines that name no class or no property of a country are counted without being parsed.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_lines
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import MALFORMED, NO_CATEGORY, NO_CULTURE, Tally
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.text import RefusedError

_ITEM = re.compile(r"Q[1-9]\d*")
_CLASSES, _ISO_CODE, _PICTURE = ("P31", "P279"), "P297", "P18"
_PAGE, _FILE = "https://www.wikidata.org/wiki/", "https://commons.wikimedia.org/wiki/Special:FilePath/"
_BRACKETS = frozenset(("[", "]", ""))

Property = Annotated[str, Field(pattern=r"^P[1-9]\d*$")]


class WikidataSource(OwnersSource):
    """A dump, or a part of one.

    Attributes:
        languages: Languages of labels and aliases; the first that has a label names the thing.
        properties: Properties that say a thing's country; the first that a thing has counts. P495 is the country of
            origin, P17 the country, P2596 the culture.
    """

    kind: Literal["wikidata"]
    title: str = "Wikidata"
    licence: str = "CC0-1.0"
    terms: Terms = "train"
    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    properties: tuple[Property, ...] = Field(default=("P495", "P17", "P2596"), min_length=1)
    categories: dict[Annotated[str, Field(pattern=r"^Q[1-9]\d*$")], Category] = Field(min_length=1)

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the things with a listed class and a country."""
        waiting: list[Found] = []
        code_of: dict[str, str] = {}
        has_class = re.compile("|".join(f'"{item}"' for item in self.categories))
        for path in find_files(self.path, ("*.json", "*.json.gz", "*.json.bz2")):
            for place, line in read_lines(path, tally, _BRACKETS):
                text = line.removesuffix(",")
                reason = "" if has_class.search(text) else NO_CATEGORY
                if not reason and not any(f'"{one}"' in text for one in self.properties):
                    reason = NO_CULTURE
                if reason and f'"{_ISO_CODE}"' not in text:
                    tally.drop(reason, place)
                    continue
                found = self._read_entity(text, place, code_of)
                if isinstance(found, Found):
                    waiting.append(found)
                else:
                    tally.drop(found, place)
        for found in waiting:
            yield replace(found, countries=tuple(code_of.get(item, item) for item in found.countries))

    def _read_entity(self, text: str, place: str, code_of: dict[str, str]) -> Found | str:
        """Return what an entity's line says, or why it is left out; note the ISO code that it gives a country."""
        try:
            entity = parse_object(text)
        except RefusedError:
            return MALFORMED
        item = entity.get("id")
        if not isinstance(item, str) or not _ITEM.fullmatch(item):
            return MALFORMED if item is None else NO_CATEGORY  # properties and lexemes are entities too
        for code in _values(entity, _ISO_CODE):
            code_of[item] = code
        of_class = next((c for p in _CLASSES for c in _values(entity, p) if c in self.categories), None)
        if of_class is None:
            return NO_CATEGORY
        countries = next(filter(None, (_values(entity, one) for one in self.properties)), ())
        if not countries:
            return NO_CULTURE
        return self._to_found(entity, item, of_class, countries, place)

    def _to_found(self, entity: dict[str, Any], item: str, of_class: str, countries: list[str], place: str) -> Found:
        labels = [(language, _label(entity, "labels", language)) for language in self.languages]
        language, name = next((pair for pair in labels if pair[1]), ("", ""))
        pictures = _values(entity, _PICTURE)
        return Found(
            place=place,
            name=name,
            countries=tuple(countries),
            category=of_class,
            ref=_PAGE + item,
            universal=self.categories[of_class].lower(),
            context=_label(entity, "descriptions", language),
            aliases=tuple(
                other
                for one, label in labels
                for other in (label, *(_text(alias) for alias in _list(entity, "aliases", one)))
                if other
            ),
            language=language,
            wikidata=item,
            picture_url=_FILE + quote(pictures[0].replace(" ", "_")) if pictures else "",
        )


def _values(entity: dict[str, Any], name: str) -> list[str]:
    """Return the values of a property, items by their ids: the preferred ones if there are any, no deprecated ones."""
    by_rank: dict[Any, list[str]] = {}
    for statement in _list(entity, "claims", name):
        snak = statement.get("mainsnak") if isinstance(statement, dict) else None
        data = snak.get("datavalue") if isinstance(snak, dict) else None
        value = data.get("value") if isinstance(data, dict) else None
        value = value.get("id") if isinstance(value, dict) else value
        if isinstance(value, str) and value:
            by_rank.setdefault(statement.get("rank"), []).append(value)
    return by_rank.get("preferred") or by_rank.get("normal") or []


def _label(entity: dict[str, Any], field: str, language: str) -> str:
    labels = entity.get(field)
    return _text(labels.get(language)) if isinstance(labels, dict) else ""


def _list(entity: dict[str, Any], field: str, key: str) -> list[Any]:
    """Return a list in an object of an entity; the dump writes an object without entries as a list."""
    held = entity.get(field)
    found = held.get(key) if isinstance(held, dict) else None
    return found if isinstance(found, list) else []


def _text(entry: Any) -> str:
    value = entry.get("value") if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""
