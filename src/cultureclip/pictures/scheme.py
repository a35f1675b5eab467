"""What a scheme of references offers: whoever reads a concept's picture knows schemes by their names alone."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Scheme:
    """References ``<name>:<what>``, each a drawing in one or several styles.

    Attributes:
        name: Before the colon, and of the column of a table of concepts that gives the rest.
        title: What the rest is, in a sentence, with its article.
        styles: Drawing styles; twins are sought by the first.
        list_all: Returns all that can be drawn.
        draw: Draws (what, style, edge in pixels), uint8 [edge, edge, 3] on white.
        locate: Returns the file behind (what, style).
        list_general: Returns (what, name) of things that belong to no culture, given those that belong to one.
    """

    name: str
    title: str
    styles: tuple[str, ...]
    list_all: Callable[[], Set[str]]
    draw: Callable[[str, str, int], np.ndarray]
    locate: Callable[[str, str], Path]
    list_general: Callable[[set[str]], list[tuple[str, str]]]

    def find(self, references: list[str]) -> set[str]:
        """Return what references of this scheme name; other references are passed over."""
        prefix = f"{self.name}:"
        return {reference.removeprefix(prefix) for reference in references if reference.startswith(prefix)}
