"""Which cultures a text names: by a region's English name, or by the adjective made from it."""

from collections.abc import Iterable
from functools import cache

from babel import Locale

from cultureclip.captions.facts import tokens_of, words_of
from cultureclip.concepts.regions import region_name

_NO_COUNTRY = ("EU", "EZ", "QO", "UN", "XA", "XB", "ZZ")
_SUBDIVISIONS = ("GB-ENG", "GB-SCT", "GB-WLS")
_ENDINGS = ("n", "ese", "ish", "i", "ic", "ch", "ek", "iot", "ais")
_COMMON = "south north east west central saint islands island united republic new states kingdom"
_NOT_A_NAME = frozenset(_COMMON.split())
_IRREGULAR = {
    "CH": "swiss",
    "CI": "ivorian",
    "CY": "cypriot",
    "CZ": "czech",
    "DK": "danish",
    "ES": "spanish",
    "FI": "finnish",
    "FR": "french",
    "GB": "british britain uk",
    "GB-SCT": "scottish scots",
    "GB-WLS": "welsh",
    "GR": "greek",
    "IE": "irish",
    "LA": "lao laotian",
    "MG": "malagasy",
    "MM": "burmese burma",
    "NL": "dutch holland",
    "NZ": "maori",
    "PH": "filipino philippine",
    "PL": "polish",
    "TH": "thai",
    "TR": "turkish turkey",
    "US": "american america usa us",
    "VA": "vatican",
}
"""Adjectives (and short names) that cannot be made from the first letters of the region's CLDR name."""


@cache
def _countries() -> tuple[str, ...]:
    """Codes of countries and territories; areas such as Europe (``150``) hold many cultures and are left out."""
    codes = [str(code) for code in Locale("en").territories]
    return (*sorted(code for code in codes if code.isalpha() and code not in _NO_COUNTRY), *_SUBDIVISIONS)


@cache
def _name_words(code: str) -> tuple[str, ...]:
    return tuple(words_of(region_name(code)))


def is_adjective_of(token: str, code: str) -> bool:
    """Whether a capitalised word is the adjective of a region: Japan -> Japanese, France -> French.

    Regular adjectives share the first four letters of a word of the region's name and have an adjective's ending;
    the others are listed.
    """
    if not token[:1].isupper():
        return False
    if stem_form(token) in {stem_form(word) for word in _IRREGULAR.get(code, "").split()}:
        return True
    if not token.lower().endswith(_ENDINGS):
        return False
    parts = [part for part in tokens_of(region_name(code)) if len(part) >= 4 and part.lower() not in _NOT_A_NAME]
    return any(stem_form(part)[:4] == stem_form(token)[:4] for part in parts)


def stem_form(token: str) -> str:
    """A token's comparison form."""
    return "".join(words_of(token))


def names_culture(text: str, code: str) -> bool:
    """Whether a text names a region."""
    named = contains(words_of(text), _name_words(code)) and text_has_capital(text, code)
    return named or any(is_adjective_of(token, code) for token in tokens_of(text))


def foreign_cultures(text: str, own: Iterable[str]) -> list[str]:
    """English names of the regions that a text names and that are not its own.

    Longer names are looked for first and taken out, so that Guinea is not seen in "Equatorial Guinea".
    """
    home = set(own)
    words, found = words_of(text), []
    for code in sorted(_countries(), key=lambda c: (-len(_name_words(c)), c not in home)):
        rest = without(words, _name_words(code))
        if rest != words and code not in home and text_has_capital(text, code):
            found.append(region_name(code))
        words = rest
    adjectives = [t for t in tokens_of(text) if stem_form(t) in words and not any(is_adjective_of(t, c) for c in home)]
    found += [region_name(code) for token in adjectives for code in _countries() if is_adjective_of(token, code)]
    return list(dict.fromkeys(found))


def text_has_capital(text: str, code: str) -> bool:
    """Whether the region's first name word stands in the text with a capital: a turkey is no country."""
    first = _name_words(code)[0]
    return any(token[:1].isupper() for token in tokens_of(text) if stem_form(token) == first)


def contains(words: list[str], part: Iterable[str]) -> bool:
    """Whether ``part`` occurs in ``words`` as a run."""
    return without(words, part) != words


def without(words: list[str], part: Iterable[str]) -> list[str]:
    """``words`` with every run equal to ``part`` replaced by one empty word (so that no new run comes about)."""
    run, result, i = list(part), [], 0
    while i < len(words):
        if run and words[i : i + len(run)] == run:
            result.append("")
            i += len(run)
        else:
            result.append(words[i])
            i += 1
    return result
