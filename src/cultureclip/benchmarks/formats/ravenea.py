"""RAVENEA as its owners pack it: a folder of images, one JSON line per picture, and one per document."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.protocols.ravenea import Document
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_object
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError, normalise, read_lines

_DOCUMENTS = "wiki_documents.jsonl"
_HEADING = re.compile(r"^#+\s.*$", re.MULTILINE)


class RaveneaFormat(Format):
    """The unpacked ``ravenea.zip`` of RAVENEA's second version: pictures, JSON lines about them, and documents.

    ``images/``, ``metadata_<split>.jsonl`` and ``wiki_documents.jsonl`` lie below ``folder``. A row's columns are
    ``image``, ``documents`` (graded, without headings), ``region`` and ``category``.
    """

    type: Literal["ravenea"]
    folder: str = Field(default="", description="Folder of the files, as the archive has one: ravenea")
    split: str = Field(default="test", min_length=1)

    def pattern(self) -> str:
        """Return the split's pictures."""
        return str(PurePosixPath(self.folder) / f"metadata_{self.split}.jsonl")

    def read(self, path: Path) -> Source:
        """Return the pictures of the split with their documents; a picture without all its documents has none.

        Raises:
            SourceDataError: if a file is missing or damaged.
        """
        folder = path / self.folder
        documents = _read(folder / _DOCUMENTS)
        texts = {str(d.get("id")): _HEADING.sub("", str(d.get("text", ""))).strip() for _, d in documents}
        rows = list(_read(self.find(path)[0]))
        return Source(_make_row(f"line {line}", record, texts, folder / "images") for line, record in rows)


def _make_row(place: str, record: Mapping[str, Any], texts: Mapping[str, str], folder: Path) -> Row:
    given = (record.get(key) for key in ("enwiki_ids", "culture_relevance"))
    ids, grades = (value if isinstance(value, list) else [] for value in given)
    whole = len(ids) == len(grades) and all(texts.get(str(i)) for i in ids) and all(map(_is_number, grades))
    documents = [Document(str(i), texts[str(i)], grade) for i, grade in zip(ids, grades, strict=True)] if whole else []
    # The owners write paths relative to their own folder.
    picture = FileIn(folder, PurePosixPath(str(record.get("file_name") or "")).name)
    values = {"documents": documents, "region": record.get("country"), "category": record.get("category")}
    return Row(place, values, {"image": (picture,)})


def _is_number(grade: object) -> bool:
    # Python's JSON has NaN and infinity.
    return isinstance(grade, int | float) and not isinstance(grade, bool) and abs(grade) < math.inf


def _read(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (line, object) of a file with one JSON object per line."""
    try:
        lines = read_lines(file, MAX_DATA_BYTES)
    except (OSError, RefusedError) as error:
        raise SourceDataError(file, f"cannot be read as JSON lines ({error})", "Fetch it again") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, normalise(parse_object(line))
            except RefusedError as error:
                raise SourceDataError(f"{file}, line {number}", str(error), "Fetch it again") from error
