"""Any image-text model by its location: its family, its identity and its loading."""

from dataclasses import dataclass
from pathlib import Path

from cultureclip.errors import WeightsError
from cultureclip.ids import digest
from cultureclip.models.encoder import CONFIG_NAME, ImageTextEncoder, load_encoder, load_open_clip_file
from cultureclip.models.huggingface import load_huggingface
from cultureclip.models.weights.fingerprint import file_digest, fingerprint
from cultureclip.models.weights.locate import OPEN_CLIP_SCHEME, locate


@dataclass(frozen=True)
class OpenClipFile:
    """Bare open_clip weights: ``open_clip:<architecture>/<release>@<file>``, e.g. ``ViT-B-32-quickgelu/openai``."""

    architecture: str
    release: str
    weights: Path


def locate_model(spec: str | Path) -> Path | OpenClipFile:
    """Find a model.

    Args:
        spec: Whatever :func:`~cultureclip.models.weights.locate.locate` reads, a directory being named; or
            ``open_clip:<architecture>/<release>@<safetensors file>``.

    Raises:
        WeightsError: if there is nothing.
    """
    text = str(spec)
    if not text.startswith(OPEN_CLIP_SCHEME):
        return locate(text)
    name, _, file = text.removeprefix(OPEN_CLIP_SCHEME).partition("@")
    architecture, _, release = name.rpartition("/")
    if not (architecture and release and file):
        raise WeightsError(
            text, "architecture, release or file is missing", "Write open_clip:ViT-B-32-quickgelu/openai@<file>"
        )
    return OpenClipFile(architecture, release, locate(file))


def fingerprint_model(spec: str | Path) -> str:
    """Return the digest of all that decides a model's embeddings, without loading it.

    Raises:
        WeightsError: if the model or a part of it is missing.
    """
    place = locate_model(spec)
    if isinstance(place, OpenClipFile):
        return digest("open_clip", place.architecture, place.release, file_digest(place.weights))
    return fingerprint(place)


def load_model(spec: str | Path, device: str = "cpu") -> ImageTextEncoder:
    """Load a model of any family; a directory with ``open_clip_config.json`` is open_clip's.

    Args:
        spec: Location as :func:`locate_model` reads it.
        device: Device of the weights.

    Raises:
        WeightsError: if it is of no known family, or it cannot be loaded.
    """
    place = locate_model(spec)
    if isinstance(place, OpenClipFile):
        return load_open_clip_file(place.architecture, place.release, place.weights, fingerprint_model(spec), device)
    fingerprint(place)  # reports missing files, and how to convert pickled weights
    return load_encoder(place, device) if (place / CONFIG_NAME).is_file() else load_huggingface(place, device)
