"""Whether the models that mine, judge and are tuned are the same: then one's blind spots are the other's, too."""

from collections.abc import Mapping
from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.models.files import find_weights
from cultureclip.models.fingerprint import file_digest
from cultureclip.models.locate import locate
from cultureclip.models.settings import ModelFiles


def find_shared(roles: Mapping[str, ModelFiles]) -> list[list[str]]:
    """Find the roles that have the same weights.

    Models are the same when their weights files have the same bytes, wherever they lie and whatever else is beside
    them. Copies in another format or number type are not recognised.

    Args:
        roles: Role -> model.

    Returns:
        Groups of at least two roles, each sorted.

    Raises:
        WeightsError: if a model is not there.
    """
    by_weights: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(roles):
        by_weights.setdefault(_digest_weights(roles[name]), []).append(name)
    return [names for names in by_weights.values() if len(names) > 1]


def _digest_weights(role: ModelFiles) -> tuple[str, ...]:
    place = locate(role.path)
    return tuple(sorted(map(file_digest, _weights(place, role.gguf_file))))


def _weights(place: Path, gguf_file: str | None) -> list[Path]:
    if gguf_file is None:
        return find_weights(place)
    file = place / gguf_file
    if not file.is_file():
        raise WeightsError(file, "no such file", "Give the name of the model's GGUF file")
    return [file]
