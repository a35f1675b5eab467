"""What every source of concepts is: settings, and a reader of its owner's files."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cultureclip.concepts.countries import find_country
from cultureclip.concepts.keys import fold
from cultureclip.concepts.licences import strictest
from cultureclip.concepts.picture_files import find_pictures
from cultureclip.concepts.regions import is_region
from cultureclip.concepts.sources.found import Found, Row, name_problem, tidy_texts
from cultureclip.concepts.sources.tally import (
    COUNTRY_REASONS,
    NO_CATEGORY,
    NO_CULTURE,
    NO_FACTS,
    NO_PICTURE_FILE,
    UNKNOWN_TERMS,
    Tally,
)
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.prompts import Prompt
from cultureclip.settings_base import Settings
from cultureclip.tables import CATEGORIES, TERMS

_SHOWN_OF_PATH = 60
"""Characters at the end of a path, where the file's name is."""


def _check_region(code: str) -> str:
    if not is_region(code):
        raise ValueError(f"{code!r} is not a region code, such as JP or GB-SCT")
    return code


def _check_category(category: str) -> str:
    if category not in CATEGORIES:
        raise ValueError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    return category


Region = Annotated[str, AfterValidator(_check_region)]
Category = Annotated[str, AfterValidator(_check_category)]
Terms = Literal["train", "eval_only", "no_redistribute"]


@dataclass(frozen=True)
class Material:
    """What sources read besides their owners' files.

    Attributes:
        atlas: Content of the catalog's entry ``atlas``.
        store: Where models' answers are kept; None where no source asks a model.
        top_down_prompt: From ``prompts/top_down.yml``, likewise.
    """

    atlas: str
    store: KeyedStore | None = None
    top_down_prompt: Prompt | None = None


class Source(Settings):
    """Where concepts come from.

    Attributes:
        kind: Name of the source in the configuration.
        pictures: Folder with a folder of pictures for each thing, called by the thing's name; None: there is none.
    """

    kind: str
    pictures: str | None = Field(default=None, min_length=1)

    @abstractmethod
    def rows(self, tally: Tally, material: Material) -> Iterator[Row]:
        """Yield the rows in the words of the concepts table, one at a time; count each, and what is left out.

        Args:
            tally: Where rows are counted.
            material: What is read besides the owner's files.

        Raises:
            SourceDataError: if a file cannot be read, or is not of the owner's form.
        """


class OwnersSource(Source):
    """A data set in its owner's own files.

    Attributes:
        title: Name of the source, as ``concepts.source`` has it.
        path: The owner's file, or the folder of its files.
        licence: Licence of the owner's facts, as an SPDX expression; recorded with each row.
        terms: Use that is allowed of what comes from it.
        countries: Names of countries that the owner uses in a meaning of their own -> region codes.
        categories: The owner's categories -> one of the eight. A category that is not listed drops the row.
    """

    title: str = Field(min_length=1)
    path: str = Field(min_length=1)
    licence: str = Field(min_length=1)
    terms: Terms
    countries: dict[str, tuple[Region, ...]] = Field(default_factory=dict)
    categories: dict[str, Category]

    @abstractmethod
    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield what the owner's rows say, one at a time; count each row, and what is left out.

        Raises:
            SourceDataError: if a file cannot be read, or is not of the owner's form.
        """

    def rows(self, tally: Tally, material: Material) -> Iterator[Row]:  # noqa: ARG002 - owners' files say all
        """Yield the rows in the words of the concepts table."""
        for found in self.read(tally):
            yield self._to_row(found, tally)

    def _to_row(self, found: Found, tally: Tally) -> Row:
        found = tidy_texts(found, tally)
        cultures, culture_problem = self._find_cultures(found, tally)
        category = self._category_of.get(fold(found.category), "")
        if not category:
            tally.note("category", found.category)
        pictures, missing = _find_files(found.reference_images, tally)
        problem = name_problem(found.name) or culture_problem or ("" if category else NO_CATEGORY)
        return Row(
            found=replace(found, reference_images=pictures),
            cultures=cultures,
            category=category,
            problem=problem or _lack(found) or (NO_PICTURE_FILE if missing else ""),
            source=self.title,
            licence=found.licence or self.licence,
            terms=strictest([self.terms, found.terms]) if found.terms in TERMS else self.terms,
        )

    @cached_property
    def _category_of(self) -> dict[str, str]:
        return {fold(owners): ours for owners, ours in self.categories.items()}

    def _find_cultures(self, found: Found, tally: Tally) -> tuple[tuple[str, ...], str]:
        """Return the region codes of a row, and why there is none; empty if there is one."""
        codes: set[str] = set()
        reason = NO_CULTURE
        for text in filter(None, found.countries):
            country = find_country(text, self.countries)
            codes.update(country.codes)
            if country.status != "found":
                tally.note(f"country: {country.status}", text)
                reason = COUNTRY_REASONS[country.status]
        return tuple(sorted(codes)), "" if codes else reason


def _lack(found: Found) -> str:
    """Return what else a row lacks of a concept; empty if nothing."""
    if found.terms and found.terms not in TERMS:
        return UNKNOWN_TERMS
    return NO_FACTS if found.reference_images and not (found.context and found.features) else ""


def _find_files(named: Sequence[str], tally: Tally) -> tuple[tuple[str, ...], bool]:
    """Return the pictures that paths name, each once, and whether a path names none; such paths are noted."""
    files: dict[str, None] = {}
    missing = False
    for path in named:
        pictures = find_pictures(path)
        files |= dict.fromkeys(pictures)
        if not pictures:
            missing = True
            tally.note(NO_PICTURE_FILE, path[-_SHOWN_OF_PATH:])
    return tuple(files), missing
