"""Triplets of things for CUNIT's matching task: the published files, or concepts with features of one's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cultureclip.audit.questionnaires.survey_file import refuse
from cultureclip.audit.tasks.matching import Thing, Triplet
from cultureclip.benchmarks.protocols.cunit import CunitConcept, ask_cunit, jaccard, read_annotations
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError, read_bytes

_KNOWN = ("user", "occasion", "significance")
_REMEDY = "Give a file of CUNIT's triplets, or a CSV of concepts with features: docs/teacher-audit.md"


def read_triplets(path: Path) -> list[Triplet]:
    """Read triplets.

    Args:
        path: A ``.json`` file of CUNIT: a list of objects with ``query_concept``, ``candidate_concept_0`` and ``_1``,
            the ``country``, ``user``, ``occasion`` and ``significance`` of each, ``similarity_query_0`` and ``_1``.
            Or a CSV of concepts with boolean features, as the CUNIT-like benchmark reads it.

    Raises:
        SourceDataError: if it is neither, a field is missing or not of its type, or no triplet has a closer candidate.
    """
    triplets = _read_published(path) if path.suffix == ".json" else _read_concepts(path)
    if not triplets:
        raise SourceDataError(path, "no triplet has a candidate that is closer than the other", _REMEDY)
    return triplets


def _read_concepts(path: Path) -> list[Triplet]:
    concepts = {concept.concept: concept for concept in reversed(read_annotations(path).values())}
    things = {name: Thing(name, one.culture, _join(sorted(one.features))) for name, one in concepts.items()}
    triplets = []
    for question in ask_cunit(list(read_annotations(path).values())).questions:
        query, closer, farther = question.image, *question.options
        gap = _similarity(concepts, query, closer) - _similarity(concepts, query, farther)
        triplets.append(Triplet(things[query], things[closer], things[farther], gap))
    return triplets


def _similarity(concepts: Mapping[str, CunitConcept], a: str, b: str) -> float:
    return jaccard(concepts[a].features, concepts[b].features)


def _read_published(path: Path) -> list[Triplet]:
    try:
        content = parse_json(read_bytes(path, MAX_DATA_BYTES))
    except (OSError, RefusedError) as error:
        raise SourceDataError(path, f"cannot be read ({error})", _REMEDY) from error
    if not isinstance(content, list):
        raise SourceDataError(path, "not a list of triplets", _REMEDY)
    problems, triplets = [], []
    for number, row in enumerate(content, 1):
        try:
            triplet = _read_triplet(row)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"triplet {number}: {error}")
        else:
            triplets += [triplet] if triplet.gap > 0 else []
    refuse(path, problems, _REMEDY)
    return triplets


def _read_triplet(row: Any) -> Triplet:
    if not isinstance(row, dict):
        raise TypeError("not an object")
    close = [row[f"similarity_query_{place}"] for place in (0, 1)]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= 1 for one in close):
        raise ValueError(f"similarities {close} are not numbers from 0 to 1")
    query = _read_thing(row, "query", "")
    candidates = [_read_thing(row, "candidate", f"_{place}") for place in (0, 1)]
    nearer = 0 if close[0] > close[1] else 1
    return Triplet(query, candidates[nearer], candidates[1 - nearer], close[nearer] - close[1 - nearer])


def _read_thing(row: Mapping[str, Any], role: str, ending: str) -> Thing:
    name, culture = row[f"{role}_concept{ending}"], row.get(f"{role}_country{ending}", "")
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"{role}_concept{ending} is {name!r}, not a name")
    known = {part: _as_text(row.get(f"{role}_{part}{ending}")) for part in _KNOWN}
    return Thing(name.strip(), _as_text(culture), _join([f"{part}: {text}" for part, text in known.items() if text]))


def _as_text(value: Any) -> str:
    """Return a text, or a list of texts joined; other values are nothing that can be shown."""
    if isinstance(value, list):
        return _join([one for one in value if isinstance(one, str)])
    return value.strip() if isinstance(value, str) else ""


def _join(parts: list[str]) -> str:
    return ", ".join(parts)
