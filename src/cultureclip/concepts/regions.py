"""Region codes of cultures, their English names (Unicode CLDR, through babel) and their adjectives."""

from functools import cache
from pathlib import Path

import pycountry

from cultureclip.errors import SourceDataError
from cultureclip.reading.csv_table import read_csv_file

_SUBDIVISIONS = {"GB-ENG": "England", "GB-SCT": "Scotland", "GB-WLS": "Wales"}
_NO_REGION = ("XA", "XB", "ZZ")  # CLDR's stand-ins: two pseudo-languages' and "unknown"


@cache
def region_names() -> dict[str, str]:
    """Return the English name of every region code."""
    from babel import Locale

    return {code: name for code, name in Locale("en").territories.items() if code not in _NO_REGION} | _SUBDIVISIONS


def is_region(code: str) -> bool:
    """Tell whether a code is known: ISO 3166-1 alpha-2, EU, UN, a UN M49 area or a subdivision that Unicode names."""
    return code in region_names()


def region_name(code: str) -> str:
    """Return English name of a region code, e.g. ``CI`` -> Côte d’Ivoire.

    Raises:
        SourceDataError: if there is no such code.
    """
    if not is_region(code):
        raise SourceDataError(repr(code), "not a region code", "Use ISO 3166-1 alpha-2, e.g. JP, or a UN M49 area")
    return region_names()[code]


@cache
def list_countries() -> tuple[str, ...]:
    """Return the codes of ISO 3166-1 (pycountry) that have an official language in Unicode CLDR: people live there."""
    from babel.languages import get_official_languages

    codes = sorted(country.alpha_2 for country in pycountry.countries)
    return tuple(code for code in codes if get_official_languages(code, regional=True, de_facto=True))


@cache
def adjectives() -> dict[str, frozenset[str]]:
    """Return each region's adjectives and short names in lower case without accents, as ``adjectives.csv`` has them.

    Whole words are compared, for a shared beginning proves nothing: Austrian is not of Australia, and green is not of
    Greece.
    """
    table = read_csv_file(Path(__file__).with_name("adjectives.csv"))
    return {code: frozenset(words.split()) for code, words in zip(table["region"], table["adjectives"], strict=True)}
