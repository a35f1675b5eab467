"""All schemes: a new one is one file and one line here."""

from cultureclip.pictures.emoji import EMOJI
from cultureclip.pictures.scheme import Scheme

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in (EMOJI,)}
"""Name -> scheme."""

MOST_STYLES = max(len(scheme.styles) for scheme in SCHEMES.values())


def find_scheme(reference: str) -> tuple[Scheme, str] | None:
    """Return the scheme of a reference and what it names; None for any other reference, such as a path."""
    name, colon, what = reference.partition(":")
    return (SCHEMES[name], what) if colon and name in SCHEMES else None


def find_style(picture: str) -> tuple[Scheme, str, str] | None:
    """Return scheme, style and what is drawn of ``<style>:<what>``; None for any other text, such as a path."""
    style, _, what = picture.partition(":")
    return next(((scheme, style, what) for scheme in SCHEMES.values() if style in scheme.styles), None)
