"""Which cultures a text names: by a region's English name, or by an adjective of it."""

from collections.abc import Iterable
from functools import cache

from babel import Locale

from cultureclip.captions.facts import fold, tokens_of, words_of
from cultureclip.concepts.regions import adjectives, region_name

_NO_COUNTRY = ("EU", "EZ", "QO", "UN", "XA", "XB", "ZZ")
_SUBDIVISIONS = ("GB-ENG", "GB-SCT", "GB-WLS")
_CONTINENT = "african"
"""An adjective of South Africa, and of many others: it names none of them as foreign."""


@cache
def _countries() -> tuple[str, ...]:
    """Return codes of countries and territories; areas such as Europe (``150``) hold many cultures and are left out."""
    codes = [str(code) for code in Locale("en").territories]
    return (*sorted(code for code in codes if code.isalpha() and code not in _NO_COUNTRY), *_SUBDIVISIONS)


@cache
def _name_words(code: str) -> tuple[str, ...]:
    return tuple(words_of(region_name(code)))


def is_adjective_of(token: str, code: str) -> bool:
    """Tell whether a capitalised word is the adjective of a region: Japan -> Japanese, France -> French."""
    word, known = fold(token), adjectives().get(code, frozenset())
    return token[:1].isupper() and not known.isdisjoint({word, word.removesuffix("s")})


def stem_form(token: str) -> str:
    """Return a token's comparison form."""
    return "".join(words_of(token))


def names_culture(text: str, code: str) -> bool:
    """Tell whether a text names a region."""
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
    named = [
        token
        for token in tokens_of(text)
        if stem_form(token) in words and fold(token) != _CONTINENT and not any(is_adjective_of(token, c) for c in home)
    ]
    found += [region_name(code) for token in named for code in _countries() if is_adjective_of(token, code)]
    return list(dict.fromkeys(found))


def text_has_capital(text: str, code: str) -> bool:
    """Tell whether the region's first name word stands in the text with a capital: a turkey is not a country."""
    first = _name_words(code)[0]
    return any(token[:1].isupper() for token in tokens_of(text) if stem_form(token) == first)


def contains(words: list[str], part: Iterable[str]) -> bool:
    """Tell whether ``part`` occurs in ``words`` as a run."""
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
