"""How any page is written: templates that escape everything, no hidden characters, figures as readers want them."""

import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cultureclip.report.words import in_words, mid_sentence, model_title, sentence_case

_BIDI_CONTROLS = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def make_environment() -> Environment:
    """Return templates of this package; whatever is put into them is text, never markup."""
    environment = Environment(
        loader=PackageLoader("cultureclip.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=show_controls,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "points": _points, "p_value": _p_value, "shorten": shorten}
    environment.filters |= {"words": in_words, "capital": sentence_case, "model_title": model_title}
    environment.filters |= {"mid_sentence": mid_sentence, "columns": count_columns}
    return environment


def show_controls(value: Any) -> Any:
    """Replace control and direction-changing characters, which HTML cannot hold or which would reorder the page."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if c in _BIDI_CONTROLS or (unicodedata.category(c) in {"Cc", "Cs"} and c not in "\n\t")
        else c
        for c in value
    )


def count_columns(cards: int) -> int:
    """Count the columns, at most four, in which no card stands alone in the last row, as far as that is possible."""
    return next((columns for columns in (4, 3) if cards % columns != 1), 4) if cards > 4 else max(cards, 1)


def shorten(text: str, length: int) -> str:
    """Text of at most ``length`` characters; an ellipsis says that some are gone."""
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def script_call(function: str, *arguments: Any) -> str:
    """Return a script file that hands data to a function of the page.

    What ``fetch`` would do, which ``file://`` forbids.

    The JSON is ASCII and has no ``<``, ``>`` or ``&``, so no text in it can end the script or start another.

    Args:
        function: Name of a global function.
        arguments: JSON values; strings in them are shown as :func:`show_controls` says.
    """
    values = (json.dumps(_shown(value), separators=(",", ":")).translate(_ESCAPES) for value in arguments)
    return f"{function}({','.join(values)});\n"


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return show_controls(value)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    return value


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def _points(value: float) -> str:
    """Return a difference in points, with its sign; a true minus."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0.0"


def _p_value(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
