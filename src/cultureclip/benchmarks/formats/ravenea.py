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
MOST_WORDS = 256
"""Words of a document that a chat model is shown."""
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


class RaveneaTaskFormat(Format):
    """RAVENEA's questions or captions: ``cvqa_downstream.jsonl`` or ``cic_downstream.jsonl`` below ``folder``.

    A row's columns are ``image``, ``region``, ``category`` and ``document``: the text of highest grade without
    headings, cut at 256 words as its owners cut it; empty where none has a positive grade. Of a question there are also
    ``question``, ``options`` and ``answer``, one row per question; of a caption ``captions``, those by people.
    """

    type: Literal["ravenea_task"]
    folder: str = ""
    task: Literal["cvqa", "cic"]

    def pattern(self) -> str:
        """Return the task's pictures."""
        return str(PurePosixPath(self.folder) / f"{self.task}_downstream.jsonl")

    def read(self, path: Path) -> Source:
        """Return one row per question, or per picture with captions.

        Raises:
            SourceDataError: if a file is missing or damaged.
        """
        folder = path / self.folder
        texts = {str(d.get("id")): str(d.get("text", "")) for _, d in _read(folder / _DOCUMENTS)}
        rows = list(_read(self.find(path)[0]))
        return Source(
            row for line, record in rows for row in _task_rows(f"line {line}", record, texts, folder / "images")
        )


def _task_rows(place: str, record: Mapping[str, Any], texts: Mapping[str, str], folder: Path) -> Iterator[Row]:
    shared = {"region": record.get("country"), "category": record.get("category"), "document": _best(record, texts)}
    pictures = {"image": (FileIn(folder, PurePosixPath(str(record.get("file_name") or "")).name),)}
    if "questions" not in record:
        given = record.get("human_captions")
        yield Row(place, shared | {"captions": given if isinstance(given, list) else [given]}, pictures)
        return
    columns = [record.get(name) for name in ("questions", "options", "answers")]
    questions, options, answers = (column if isinstance(column, list) else [] for column in columns)
    if not len(questions) == len(options) == len(answers):
        questions, options, answers = [None], [None], [None]
    for number, (question, listed, answer) in enumerate(zip(questions, options, answers, strict=True), 1):
        yield Row(f"{place}, {number}", shared | {"question": question, "options": listed, "answer": answer}, pictures)


def _best(record: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Return the document of the highest positive grade, the first of several; empty if there is none."""
    ids, grades = (record.get(key) for key in ("enwiki_ids", "culture_relevance"))
    if not isinstance(ids, list) or not isinstance(grades, list) or len(ids) != len(grades):
        return ""
    graded = [(grade, str(i)) for i, grade in zip(ids, grades, strict=True) if _is_number(grade) and grade > 0]
    if not graded:
        return ""
    best = max(grade for grade, _ in graded)
    text = texts.get(next(i for grade, i in graded if grade == best), "")
    return " ".join(_HEADING.sub("", text).split()[:MOST_WORDS])


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
