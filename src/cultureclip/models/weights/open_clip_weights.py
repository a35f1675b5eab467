"""Weights of open_clip models, repaired and loaded by open_clip itself, from safetensors files only.

Trainings and older releases write names that a model of today does not have: ``position_ids``, a text tower without its
``text.`` in front, the prefixes of ``torch.compile`` and of distributed training. ``open_clip.load_checkpoint`` repairs
what it knows. This file is the only one that calls it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
from safetensors import SafetensorError, safe_open

from cultureclip.engine.temporary import scratch_folder
from cultureclip.errors import WeightsError
from cultureclip.models.finite import check_finite
from cultureclip.models.weights.checkpoint import load_tensors, save_atomically
from cultureclip.models.weights.safetensors_files import check_safetensors, strip_wrappers

logger = logging.getLogger(__name__)

PREFERRED_NAMES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
"""As open_clip chooses among the files of a directory."""
_POSITIONS = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")


def find_open_clip_weights(folder: Path) -> Path:
    """Find the file that open_clip would load from a directory: one of its usual names, else the first by name."""
    usual = [folder / name for name in PREFERRED_NAMES if (folder / name).is_file()]
    return (usual + sorted(folder.glob("*.safetensors")) + [folder / PREFERRED_NAMES[0]])[0]


def load_open_clip_weights(model: Any, file: Path) -> None:
    """Load a file into an open_clip model, in place.

    Args:
        model: The module, built from the config that goes with the weights.
        file: A safetensors file.

    Raises:
        WeightsError: if the file is missing, truncated or a pickle; does not fit the model; or holds NaN or infinity.
    """
    check_safetensors(file)
    try:
        with _without_wrappers(file) as plain:
            _report_resized(model, plain, file)
            open_clip.load_checkpoint(model, str(plain))
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, AssertionError, SafetensorError) as error:
        raise WeightsError(
            file.parent, f"weights and config disagree ({error})", "Take both from one release"
        ) from error
    check_finite(model.state_dict(), file)


@contextmanager
def _without_wrappers(file: Path) -> Iterator[Path]:
    """Give the file itself, or a temporary copy whose tensors have no wrapper's prefix."""
    with safe_open(file, framework="pt") as handle:
        names = {name: strip_wrappers(name) for name in handle.keys()}  # noqa: SIM118  not a mapping
    if all(name == plain for name, plain in names.items()):
        yield file
        return
    if len(set(names.values())) < len(names):
        raise WeightsError(
            file, "two of its tensors have one name but for module. and _orig_mod.", "Save one model's state_dict()"
        )
    tensors, _ = load_tensors(file)
    with scratch_folder() as folder:
        copy = folder / file.name
        save_atomically({names[name]: tensor for name, tensor in tensors.items()}, copy)
        yield copy


def _report_resized(model: Any, plain: Path, file: Path) -> None:
    """Warn if open_clip will resize position embeddings: then the config differs from the weights' own."""
    own = model.state_dict()
    with safe_open(plain, framework="pt") as handle:
        for name in set(_POSITIONS).intersection(handle.keys()):
            held = list(handle.get_slice(name).get_shape())
            wanted = own.get(name, own.get(f"text.{name}"))
            if wanted is not None and held != list(wanted.shape):
                logger.warning(
                    "%s: %s has the shape %s, the config asks for %s; open_clip resizes it",
                    file,
                    name,
                    held,
                    list(wanted.shape),
                )
