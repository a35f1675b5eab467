"""Which cultures a text names: by a region's English name, or by the adjective made from it."""

from collections.abc import Iterable
from functools import cache

from babel import Locale

from cultureclip.captions.facts import fold, tokens_of, words_of
from cultureclip.concepts.regions import region_name

_NO_COUNTRY = ("EU", "EZ", "QO", "UN", "XA", "XB", "ZZ")
_SUBDIVISIONS = ("GB-ENG", "GB-SCT", "GB-WLS")
_ENDINGS = ("n", "an", "ian", "ean", "ese")
_COMMON = "central island islands united republic states kingdom city isle ocean territory virgin turks south north"
_NOT_A_NAME = frozenset(_COMMON.split())
_CONTINENT = "african"
"""An adjective of South Africa, and of many others: it names none of them as foreign."""

_LISTED = {
    "AE": "emirati",
    "AF": "afghan",
    "AR": "argentine argentinian argentinean",
    "AZ": "azerbaijani azeri",
    "BA": "bosnian herzegovinian",
    "BB": "barbadian bajan",
    "BD": "bangladeshi",
    "BE": "belgian",
    "BF": "burkinabe",
    "BH": "bahraini",
    "BQ": "",
    "BS": "bahamian",
    "BW": "botswanan motswana",
    "BY": "belarusian belarussian",
    "CD": "congolese",
    "CG": "congolese",
    "CH": "swiss",
    "CI": "ivorian",
    "CV": "verdean",
    "CY": "cypriot",
    "CZ": "czech",
    "DE": "german",
    "DK": "danish",
    "DO": "dominican",
    "EH": "sahrawi",
    "ES": "spanish",
    "FI": "finnish",
    "FR": "french",
    "GB": "british britain uk",
    "GB-ENG": "english",
    "GB-SCT": "scottish scots",
    "GB-WLS": "welsh",
    "GL": "greenlandic",
    "GR": "greek",
    "GU": "guamanian chamorro",
    "HR": "croatian croat",
    "IE": "irish",
    "IL": "israeli",
    "IM": "manx",
    "IO": "",
    "IQ": "iraqi",
    "IS": "icelandic",
    "KG": "kyrgyz kyrgyzstani",
    "KM": "comorian",
    "KW": "kuwaiti",
    "KZ": "kazakh kazakhstani",
    "LA": "lao laotian",
    "LB": "lebanese",
    "LU": "luxembourgish",
    "MC": "monegasque monacan",
    "ME": "montenegrin",
    "MG": "malagasy",
    "MH": "marshallese",
    "MM": "myanmar burmese burma",
    "MO": "macanese chinese",
    "MQ": "martinican martiniquais",
    "MU": "mauritian",
    "MV": "maldivian",
    "MZ": "mozambican",
    "NE": "nigerien",
    "NL": "dutch holland",
    "NO": "norwegian",
    "NP": "nepali nepalese",
    "NZ": "maori",
    "OM": "omani",
    "PA": "panamanian",
    "PE": "peruvian",
    "PF": "tahitian",
    "PH": "filipino philippine",
    "PK": "pakistani",
    "PL": "polish",
    "PS": "palestinian palestine",
    "PT": "portuguese",
    "QA": "qatari",
    "RS": "serbian serb",
    "SA": "saudi arabian",
    "SC": "seychellois",
    "SE": "swedish",
    "SI": "slovenian slovene",
    "SK": "slovakian slovak",
    "SO": "somali somalian",
    "SZ": "swazi",
    "TF": "",
    "TG": "togolese",
    "TH": "thai",
    "TJ": "tajik tajikistani",
    "TM": "turkmen",
    "TR": "turkish turkey",
    "US": "american america usa us",
    "UZ": "uzbek uzbekistani",
    "VA": "vatican",
    "XK": "kosovar kosovan",
    "YE": "yemeni yemenite",
}
"""Adjectives (and short names) of regions to whose CLDR name no regular ending can be put, or the wrong ones."""


@cache
def _countries() -> tuple[str, ...]:
    """Codes of countries and territories; areas such as Europe (``150``) hold many cultures and are left out."""
    codes = [str(code) for code in Locale("en").territories]
    return (*sorted(code for code in codes if code.isalpha() and code not in _NO_COUNTRY), *_SUBDIVISIONS)


@cache
def _name_words(code: str) -> tuple[str, ...]:
    return tuple(words_of(region_name(code)))


@cache
def _adjectives(code: str) -> frozenset[str]:
    """A region's adjectives in lower case without accents: listed, or a regular ending on a word of its name.

    A last vowel, ``s`` or ``y`` may give way to the ending: Italy -> Italian. Whole words are made and compared, for a
    shared beginning proves nothing: Austrian is not of Australia, and green is not of Greece.
    """
    if code in _LISTED:
        return frozenset(_LISTED[code].split())
    parts = [part for part in map(fold, tokens_of(region_name(code))) if len(part) >= 4 and part not in _NOT_A_NAME]
    bases = [*parts, *(part[:-1] for part in parts if part[-1] in "aeiosuy")]
    return frozenset(base + ending for base in bases for ending in _ENDINGS)


def is_adjective_of(token: str, code: str) -> bool:
    """Whether a capitalised word is the adjective of a region: Japan -> Japanese, France -> French."""
    word = fold(token)
    return token[:1].isupper() and not _adjectives(code).isdisjoint({word, word.removesuffix("s")})


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
    adjectives = [
        token
        for token in tokens_of(text)
        if stem_form(token) in words and fold(token) != _CONTINENT and not any(is_adjective_of(token, c) for c in home)
    ]
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
