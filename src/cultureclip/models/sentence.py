"""A sentence encoder on local weights: texts to vectors whose cosine is closeness of meaning."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from cultureclip.errors import WeightsError
from cultureclip.models.finite import check_computed, check_finite
from cultureclip.models.memory import fitting_into_memory, halve_until_it_fits
from cultureclip.models.weights.config_files import check_json
from cultureclip.models.weights.locate import locate
from cultureclip.reading.json_text import parse_json
from cultureclip.reading.names import find_inside
from cultureclip.reading.text import RefusedError, read_bytes

_SMALLER = "Take a smaller sentence encoder or another device"


@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence-transformers model, ready to embed.

    Attributes:
        model: The ``SentenceTransformer``.
        source: Place that it was loaded from; errors name it.
    """

    model: Any
    source: Path

    def encode(self, texts: Sequence[str], batch: int = 64) -> np.ndarray:
        """Return L2-normalised embeddings, float32 [N, D]; each distinct text is computed once.

        Raises:
            WeightsError: if an embedding is not finite.
            ConfigurationError: if memory runs out with one text.
        """
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return np.zeros((0, self.model.get_embedding_dimension()), np.float32)

        def encode(size: int) -> np.ndarray:
            vectors: np.ndarray = self.model.encode(
                distinct,
                batch_size=size,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=len(distinct) > size and sys.stderr.isatty(),
            )
            return vectors

        with fitting_into_memory(self.source, _SMALLER):
            vectors, _ = halve_until_it_fits(encode, batch)
        rows = np.asarray(vectors, dtype=np.float32)
        check_computed(torch.from_numpy(rows), self.source, "texts have embeddings")
        place = {text: i for i, text in enumerate(distinct)}
        return rows[[place[text] for text in texts]]


def load_sentence_encoder(path: str | Path, device: str = "cpu") -> SentenceEncoder:
    """Load a sentence-transformers directory with safetensors weights.

    Args:
        path: The directory, or ``package:<module>/<folder>``.
        device: Device of the weights.

    Raises:
        WeightsError: if a file is missing, truncated, pickled, differs from the config, or holds NaN or infinity.
    """
    # Importing sentence_transformers takes seconds, so import it only where it is used.
    from sentence_transformers import SentenceTransformer

    folder = locate(str(path))
    for name in ("modules.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise WeightsError(
                folder / name, "no such file", "Give a sentence-transformers directory with safetensors weights"
            )
    _check_modules(folder)
    try:
        with fitting_into_memory(folder, _SMALLER, f"the memory of {device}"):
            model = SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs={"use_safetensors": True}
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(folder, f"the sentence encoder does not load ({error})", "Copy it again, whole") from error
    check_finite(model.state_dict(), folder)
    return SentenceEncoder(model, folder)


def _check_modules(folder: Path) -> None:
    """Check that ``modules.json`` names folders inside the model, because the library would read any path.

    Raises:
        WeightsError: if it is damaged or names a place outside the model's folder, or a module's JSON is damaged.
    """
    check_json(folder)
    listing = folder / "modules.json"
    try:
        modules = parse_json(read_bytes(listing))
        places = [find_inside(folder, module["path"]) for module in modules]
    except (RefusedError, TypeError, KeyError) as error:
        raise WeightsError(listing, f"not a list of modules ({error})", "Copy it again, whole") from error
    for place in places:
        check_json(place)
