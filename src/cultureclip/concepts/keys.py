"""Forms in which names are compared: without case, accents, punctuation and script."""

import re
import unicodedata
from functools import lru_cache

from anyascii import anyascii

_OTHER = re.compile(r"[\W_]+")
_BRACKETS = re.compile(r"\s*\([^()]*\)\s*$")


@lru_cache(maxsize=2**16)
def fold(text: str) -> str:
    """Return a text in lower case, without accents and other marks, each run of spaces as one.

    Two names with one folded form are written alike in everything but case and marks. Scripts stay apart.
    """
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", " ".join(bare.casefold().split()))


def name_key(name: str) -> str:
    """Return the key of a name: two names with one key are one name in other spelling or script.

    The text in brackets at the end ("Sì (dessert)") tells homonyms apart for a reader and is left out; so are case,
    marks, spaces and punctuation. Other scripts are transliterated.
    """
    return _OTHER.sub("", _transliterate(_BRACKETS.sub("", name) or name)) or fold(name)


@lru_cache(maxsize=2**16)
def _transliterate(name: str) -> str:
    return fold(name if name.isascii() else anyascii(unicodedata.normalize("NFC", name)))
