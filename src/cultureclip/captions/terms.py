"""Terms that a caption must not make up: numbers, however they are written, and colours."""

import re
import unicodedata

from PIL import ImageColor

from cultureclip.captions.facts import stem

_ONES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_TENS = "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
_LARGE = "hundred thousand million billion dozen"
_ORDINALS = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth twentieth hundredth"
_ALSO_COLOURS = (
    "amber auburn blackish blonde bluish brownish burgundy cerulean ebony golden greenish lilac mauve ochre pinkish "
    "purplish reddish scarlet sepia silvery taupe ultramarine vermilion whitish yellowish"
)
_ALSO_THINGS = (
    "bisque chocolate coral cornsilk gainsboro lavender lime linen moccasin olive orchid peru plum salmon seashell "
    "sienna snow tan thistle tomato wheat"
)
"""Of the colours of CSS, names that a true caption may well say of a thing; the check of units sees them."""

NUMBER_WORDS = frozenset(map(stem, f"zero {_ONES} {_TENS} {_LARGE} {_ORDINALS}".split()))
"""Stems. ``one``, ``first`` and ``second`` count nothing in most captions and are not among them."""
COLOURS = frozenset(map(stem, {*ImageColor.colormap} - {*_ALSO_THINGS.split()} | {*_ALSO_COLOURS.split()}))
"""Stems of the names of colours: those of CSS in one word, and others."""

_JOINED = re.compile(r"(?:[^\s,;!?()\"“”]|(?<=\d),(?=\d))+")


def is_number_or_colour(word: str) -> bool:
    """Tell whether a stem is a number that is spelled out, or a colour."""
    return word in NUMBER_WORDS or word in COLOURS


def find_numerals(text: str) -> list[str]:
    """Find what is written with digits or other numerals of any script: ``1868``, ``1/2``, ``½``, ``٣``, ``Ⅳ``.

    Returns:
        Each with the letters and signs that it is written together with: ``1/2`` is not ``1`` and ``2``.
    """
    return [part.strip(".:'’-–") for part in _JOINED.findall(text) if any(map(_is_numeral, part))]


def _is_numeral(char: str) -> bool:
    return unicodedata.numeric(char, None) is not None
