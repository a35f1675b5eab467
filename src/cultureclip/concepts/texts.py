"""What texts about concepts may hold, and how texts from outside are brought to it."""

import html
import unicodedata

from cultureclip.reading.text import normalise

NAME_LIMIT, CELL_LIMIT, ITEM_LIMIT, ITEMS_LIMIT = 80, 1000, 120, 250
"""Largest number of characters of a name, of another text, of a text in a list; and of texts in a list."""

_REFUSED_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")  # invisible characters: two names would look the same
_JOINERS = "\u200c\u200d"  # of these scripts have need
_UNFIT = "/\\<>"
_HARMLESS = dict.fromkeys(map(ord, "\u00ad\u200b\u200e\u200f\u2060\ufeff"))
"""Marks that change no text's meaning where it stands alone: soft hyphen, zero-width space, direction of one word."""


def find_invisible(text: str) -> str:
    """Return the first character of a text that cannot be seen and that no script needs; empty if there is none."""
    return next((c for c in text if unicodedata.category(c) in _REFUSED_CATEGORIES and c not in _JOINERS), "")


def find_unfit(name: str) -> str:
    """Return the first character of a name that means something in a path or a page; empty if there is none."""
    return next((char for char in name if char in _UNFIT), "")


def has_word(name: str) -> bool:
    """Tell whether a name has a letter or a digit."""
    return any(char.isalnum() for char in name)


def tidy(text: str) -> str:
    """Return a text from outside in one form.

    HTML entities become their characters, each run of white space one space; marks that change nothing are left out.
    """
    return normalise(" ".join(html.unescape(text).translate(_HARMLESS).split()))


def shorten(text: str, limit: int = CELL_LIMIT) -> str:
    """Return the longest beginning of a text that ends with a word and has at most ``limit`` characters."""
    return text if len(text) <= limit else text[: limit + 1].rsplit(" ", 1)[0][:limit]
