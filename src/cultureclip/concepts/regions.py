"""Region codes of cultures, and their English names (Unicode CLDR, through babel)."""

from functools import cache

from cultureclip.errors import SourceDataError

_SUBDIVISIONS = {"GB-ENG": "England", "GB-SCT": "Scotland", "GB-WLS": "Wales"}
_NO_REGION = ("XA", "XB", "ZZ")  # CLDR's stand-ins: two pseudo-languages' and "unknown"


@cache
def _names() -> dict[str, str]:
    from babel import Locale

    return {code: name for code, name in Locale("en").territories.items() if code not in _NO_REGION} | _SUBDIVISIONS


def is_region(code: str) -> bool:
    """Tell whether a code is known: ISO 3166-1 alpha-2, EU, UN, a UN M49 area or a subdivision with its own flag."""
    return code in _names()


def region_name(code: str) -> str:
    """Return English name of a region code, e.g. ``CI`` -> Côte d’Ivoire.

    Raises:
        SourceDataError: if there is no such code.
    """
    if not is_region(code):
        raise SourceDataError(repr(code), "not a region code", "Use ISO 3166-1 alpha-2, e.g. JP, or a UN M49 area")
    return _names()[code]
