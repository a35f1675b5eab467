"""Languages of captions: their names, the names of cultures in them, and whether a text is written in one of them."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

ENGLISH = "en"


@cache
def language_name(code: str) -> str:
    """Return the English name of a language that captions can be written in.

    Args:
        code: ISO 639-1, e.g. ``ja``.

    Raises:
        ValueError: if CLDR has no names in this language, or a text in it could not be recognised.
    """
    from babel import Locale, UnknownLocaleError

    if code == ENGLISH:
        return "English"
    try:
        locale = Locale(code)
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"{code!r} is not an ISO 639-1 code of a language that CLDR knows") from error
    if code not in _identifier().labels:
        known = ", ".join(sorted(_identifier().labels))
        raise ValueError(f"a text in {code!r} could not be recognised; these can be: {known}")
    return str(locale.get_language_name(ENGLISH))


def is_written_in(text: str, code: str) -> bool:
    """Tell whether a text is more likely written in this language than in English.

    The names in a caption are the same in many languages, so only these two are compared.
    """
    if code == ENGLISH:
        return True
    identifier = _identifier()
    identifier.set_languages([code, ENGLISH])
    likelier = str(identifier.classify(text)[0])
    identifier.set_languages(None)
    return likelier == code


def says(text: str, name: str) -> bool:
    """Tell whether a text has a name in it, in any script and case; words need no spaces between them."""
    return bool(name) and _fold(name) in _fold(text)


def culture_in(code: str, region: str) -> str:
    """Return what a region is called in a language (Unicode CLDR); empty where CLDR has no name."""
    from babel import Locale

    return str(Locale(code).territories.get(region, ""))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
