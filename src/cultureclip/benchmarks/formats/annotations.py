"""Boolean features of concepts, annotated by hand: a CSV without pictures."""

from pathlib import Path
from typing import Literal

from cultureclip.benchmarks.protocols.cunit import read_annotations
from cultureclip.benchmarks.rows import Format, Row, Source


class AnnotationsFormat(Format):
    """A CSV with ``concept``, ``culture``, ``category`` and one column per feature, with cells of 1 and 0."""

    type: Literal["annotations"]

    def pattern(self) -> str:
        """Return an empty pattern, because the entry's path is the file."""
        return ""

    def read(self, path: Path) -> Source:
        """Return one row per concept, whose one column ``annotated`` holds the whole annotation.

        Raises:
            SourceDataError: see :func:`~cultureclip.benchmarks.protocols.cunit.read_annotations`.
        """
        concepts = read_annotations(path).items()
        return Source(Row(f"line {line}", {"annotated": concept}, {}) for line, concept in concepts)
