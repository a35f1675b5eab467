"""Sentences about a concept, from a template over the fields of the table of concepts."""

from collections.abc import Callable, Hashable, Mapping
from string import Formatter
from typing import Annotated, Any

from pydantic import AfterValidator

from cultureclip.concepts.regions import region_name

NAME_ALONE = "There is {name} in the image."
"""CROPE's wording."""
FIELDS: Mapping[str, Callable[[Mapping[Hashable, Any]], list[str]]] = {
    "name": lambda row: [row["name"]],
    "universal": lambda row: [row["universal"]],
    "category": lambda row: [row["category"]],
    "context": lambda row: [row["context"]],
    "cultures": lambda row: [region_name(code) for code in row["cultures"]],
    "key_visual_features": lambda row: list(row["key_visual_features"]),
}
"""Fields that a template may name -> the values of a row."""


def check_template(template: str) -> str:
    """Return a template that names at least one field, and only known ones.

    Raises:
        ValueError: if it does not.
    """
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{template!r}: {error}") from error
    if not parts:
        raise ValueError(f"{template!r} names no field: every concept would have the same text")
    for _, name, most, conversion in parts:
        if name not in FIELDS:
            raise ValueError(f"{template!r}: no field {name!r}; there are {', '.join(FIELDS)}")
        if conversion or (most and not (most.isdecimal() and int(most))):
            raise ValueError(f"{template!r}: after {name} only a number may stand, as in {{{name}:3}}")
    return template


ConceptTemplate = Annotated[str, AfterValidator(check_template)]
"""Text with fields of a concept in braces; ``{key_visual_features:3}`` is the first three, joined by commas."""


def describe_concept(row: Mapping[Hashable, Any], template: str) -> str | None:
    """Write a concept's sentence.

    Args:
        row: Row of the table of concepts.
        template: A :data:`ConceptTemplate`.

    Returns:
        The sentence; None where a field that the template names is empty.
    """
    written = []
    for literal, name, most, _ in Formatter().parse(template):
        written.append(literal)
        if name is not None:
            values = FIELDS[name](row)[: int(most) if most else None]
            if not any(values):
                return None
            written.append(", ".join(values))
    return "".join(written)
