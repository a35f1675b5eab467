"""Region codes of countries as owners of data write them: names, adjectives or ISO codes.

Names are Unicode CLDR's and ISO 3166-1's, and ours in ``country_names.csv``; adjectives are ``adjectives.csv``'s. A
name of several countries (Korea, Congo) and a state that is no more (the Soviet Union) have no code: which of today's
countries is meant is not guessed, and a source's own ``countries`` can say it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pycountry

from cultureclip.concepts.keys import fold
from cultureclip.concepts.regions import adjectives, region_names
from cultureclip.reading.csv_table import read_csv_file

Status = Literal["found", "historical", "ambiguous", "unknown"]

_NO_COUNTRY = ("EU", "EZ", "QO", "UN")
_ARTICLE = "the "
_CODE_FIELDS = ("alpha_2", "alpha_3", "alpha_4")
_SHORT = 3
"""Longest name that counts in a sentence only in capitals: "US", not "Us"."""
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")


@dataclass(frozen=True)
class Country:
    """What a text says of a country.

    Attributes:
        status: Whether it names one; if not, why.
        codes: Its region codes; empty unless found.
    """

    status: Status
    codes: tuple[str, ...] = ()


def find_country(text: str, own: Mapping[str, Sequence[str]] | None = None) -> Country:
    """Return the region codes that a text stands for.

    Args:
        text: A name, an adjective (Japanese), or an ISO 3166-1 code in capitals. Case and accents of names do not
            count.
        own: Texts that the owner uses in a meaning of their own -> region codes. They come first.
    """
    text = text.strip()
    for written, codes in (own or {}).items():
        if fold(written) == fold(text):
            return Country("found", tuple(codes))
    if text in _codes():
        return Country("found", (_codes()[text],))
    if text in _withdrawn_codes():
        return Country("historical")
    name = fold(text).removeprefix(_ARTICLE)
    known = _names().get(name)
    if known is None:
        return Country("historical" if name in _historical() else "unknown")
    return Country("found", tuple(known)) if len(known) == 1 else Country("ambiguous")


@cache
def _codes() -> dict[str, str]:
    """ISO 3166-1 codes of two and three letters, and codes of subdivisions that have a name -> region code."""
    codes = {code: code for code in region_names() if not code.isdigit()}
    return codes | {country.alpha_3: country.alpha_2 for country in pycountry.countries}


@cache
def _names() -> dict[str, tuple[str, ...]]:
    """Folded names and adjectives -> the regions that they may stand for, and none twice."""
    found: dict[str, set[str]] = {}
    for code, name in region_names().items():
        if not code.isdigit() and code not in _NO_COUNTRY:
            for form in (name, *adjectives().get(code, ())):
                found.setdefault(fold(form), set()).add(code)
    for country in pycountry.countries:
        for field in ("name", "official_name", "common_name"):
            if form := getattr(country, field, None):
                last, _, first = form.partition(", ")  # "Korea, Republic of"
                for order in (form, f"{first} {last}".strip()):
                    found.setdefault(fold(order).removeprefix(_ARTICLE), set()).add(country.alpha_2)
    found |= {fold(name): codes for name, codes in _own_names().items() if codes}
    return {name: tuple(sorted(codes)) for name, codes in found.items()}


@cache
def _withdrawn_codes() -> frozenset[str]:
    withdrawn = (getattr(country, field, "") for country in pycountry.historic_countries for field in _CODE_FIELDS)
    return frozenset(filter(None, withdrawn)) - _codes().keys()


@cache
def _historical() -> frozenset[str]:
    names = [country.name for country in pycountry.historic_countries]
    names += [name.partition(",")[0] for name in names]  # "USSR, Union of Soviet Socialist Republics"
    return frozenset(map(fold, [*names, *(name for name, codes in _own_names().items() if not codes)]))


@cache
def _own_names() -> dict[str, set[str]]:
    """Read ``country_names.csv``: a name, and the regions that it may stand for; none for a state that is no more."""
    table = read_csv_file(Path(__file__).with_name("country_names.csv"))
    return {name: set(codes.split()) for name, codes in zip(table["name"], table["region"], strict=True)}


def countries_in(text: str) -> tuple[str, ...]:
    """Return the regions whose name or adjective a text has, with a capital; names of several regions do not count.

    The longest name counts: "South Korean" is not Korean.
    """
    words = _WORD.findall(text)
    codes: dict[str, None] = {}
    place = 0
    while place < len(words):
        length = _longest_name(words, place) if words[place][0].isupper() else 0
        if length:
            known = _names()[fold(" ".join(words[place : place + length]))]
            codes |= dict.fromkeys(known if len(known) == 1 else ())
        place += length or 1
    return tuple(codes)


def _longest_name(words: Sequence[str], place: int) -> int:
    """Return how many words from a place on are a name; 0 if none are."""
    for length in range(min(_most_words(), len(words) - place), 0, -1):
        written = " ".join(words[place : place + length])
        if fold(written) in _names() and (len(written) > _SHORT or written.isupper()):
            return length
    return 0


@cache
def _most_words() -> int:
    return max(len(name.split()) for name in _names())
