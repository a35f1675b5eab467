"""Content-derived identifiers: the same fields give the same id on any machine."""

import hashlib
import json
from collections.abc import Iterable, Sequence

ID_LENGTH = 20
"""Hex digits kept of a digest: 80 bits, a collision in 10^9 rows has odds below 10^-6."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(*fields: object) -> str:
    """Hash JSON-serialisable fields into a short hex id.

    Fields are serialised with their boundaries (as one JSON list), so ``("ab", "c")`` and ``("a", "bc")`` differ.
    Sets must be sorted by the caller: a JSON list keeps order.
    """
    return _digest_of(_ENCODER.encode(fields))


def _digest_of(payload: str) -> str:
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()[:ID_LENGTH]


class Digester:
    """:func:`digest` of many lists of fields that differ in one: the others are serialised once.

    Args:
        before: Fields before the one that differs; at least one.
        after: Fields behind it.
    """

    def __init__(self, before: Sequence[object], after: Sequence[object] = ()) -> None:
        self._head = f"{_ENCODER.encode(list(before))[:-1]},"
        self._tail = f",{_ENCODER.encode(list(after))[1:]}" if after else "]"

    def __call__(self, field: object) -> str:
        """Return ``digest(*before, field, *after)``."""
        return _digest_of(f"{self._head}{_ENCODER.encode(field)}{self._tail}")


def bytes_digest(data: bytes) -> str:
    """Return full SHA-256 of raw bytes, as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def seed_from_id(identifier: str) -> int:
    """Return a 63-bit seed from a hex id: each item draws its own noise whatever batch it lands in."""
    return int(hashlib.sha256(identifier.encode()).hexdigest()[:16], 16) >> 1


def draw_seed(seed: int, draw: int) -> int:
    """Return a stage's seed for a draw of the data: the configured one for draw 0, else another for each draw."""
    return seed if draw == 0 else seed_from_id(digest("draw", seed, draw))


def hash_fraction(identifier: str, salt: str) -> float:
    """Return a number in [0, 1) fixed by (identifier, salt): used for splits that never depend on row order."""
    return int(hashlib.sha256(f"{salt}:{identifier}".encode()).hexdigest()[:13], 16) / 16**13


def concept_id(name: str, cultures: Iterable[str], category: str) -> str:
    """Return the id of a concept: its name, the sorted set of its cultures and its category."""
    return digest("concept", name, sorted(set(cultures)), category)


def twin_id(a_concept_id: str, b_concept_id: str) -> str:
    """Return the id of a twin: the two concept ids, in either order."""
    return digest("twin", *sorted((a_concept_id, b_concept_id)))
