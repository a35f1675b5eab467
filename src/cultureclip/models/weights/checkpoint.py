"""Resumable training state in safetensors: parameters, optimiser moments and the step, written atomically.

No pickle is involved. Data order and augmentation are drawn from generators seeded by (seed, step), so the step number
is all the random state that a resume needs.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cultureclip.engine.atomic import replacing
from cultureclip.errors import StorageError, WeightsError
from cultureclip.models.finite import check_finite
from cultureclip.models.weights.pickled_files import is_pickle, refuse_pickle

_MODEL, _OPTIMIZER = "model.", "optimizer."
_CHECKSUM = "checksum"
"""Key of the metadata; files of other programs do not have it."""


def save_atomically(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file with their checksum; a reader sees the old file or the new one.

    Raises:
        StorageError: if the disk is full or failing.
    """
    copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    described = {name: text for name, text in (metadata or {}).items() if name != _CHECKSUM}
    described[_CHECKSUM] = _checksum(copies, described)
    try:
        with replacing(path) as temporary:
            save_file(copies, temporary, described)
    except (OSError, SafetensorError) as error:
        raise StorageError(path, f"cannot be written ({error})", "Free disk space, or write to another disk") from error


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        The tensors and the file's metadata.

    Raises:
        WeightsError: if the file is missing, truncated or in another format, a tensor holds NaN or infinity, or the
            tensors do not match the checksum that :func:`save_atomically` wrote.
    """
    if not path.is_file():
        raise WeightsError(path, "no such weights file", "Check the path, or run the pipeline that writes it")
    if is_pickle(path):
        raise refuse_pickle(path, path.with_suffix(".safetensors"))
    try:
        with safe_open(path, framework="pt") as handle:
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  not a mapping
            metadata = handle.metadata() or {}
    except (SafetensorError, UnicodeDecodeError) as error:
        raise WeightsError(path, f"not a whole safetensors file ({error})", "Copy or download it again") from error
    if metadata.pop(_CHECKSUM, None) not in (None, _checksum(tensors, metadata)):
        remedy = "Copy it again, or remove it and run again to have it written again"
        raise WeightsError(path, "its contents differ from those written (the checksum differs)", remedy)
    check_finite(tensors, path)
    return tensors, metadata


def save_training_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Save the state from which training resumes after ``step`` optimiser steps."""
    names = {id(p): n for n, p in model.named_parameters()}
    tensors = {f"{_MODEL}{n}": t for n, t in model.state_dict().items()}
    for parameter, state in optimizer.state.items():
        tensors |= {f"{_OPTIMIZER}{names[id(parameter)]}.{k}": torch.as_tensor(v) for k, v in state.items()}
    save_atomically(tensors, path, {"step": str(step)})


def load_training_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore the state that :func:`save_training_state` wrote, in place.

    Returns:
        The number of steps already done; 0 if there is no file.

    Raises:
        WeightsError: if the file is damaged, or is of another model.
    """
    if not path.exists():
        return 0
    tensors, metadata = load_tensors(path)
    weights = {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    try:
        step = int(metadata["step"])
        moments = _read_moments(tensors.keys() - {_MODEL + name for name in weights}, tensors, model)
        model.load_state_dict(weights)
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(path, f"not a state of this training ({error!r})", "Remove it and train again") from error
    for parameter, state in moments.items():
        optimizer.state[parameter] = state
    return step


def _read_moments(
    names: Iterable[str], tensors: Mapping[str, torch.Tensor], model: torch.nn.Module
) -> dict[torch.nn.Parameter, dict[str, torch.Tensor]]:
    """Sort an optimiser's tensors by parameter.

    Raises:
        KeyError: if one is of no parameter.
        ValueError: if parameters have different tensors, or one has another shape than its parameter.
    """
    parameters = dict(model.named_parameters())
    moments: dict[torch.nn.Parameter, dict[str, torch.Tensor]] = {}
    for name in sorted(names):
        owner, _, kind = name.removeprefix(_OPTIMIZER).rpartition(".")
        parameter = parameters[owner]
        if tensors[name].ndim and tensors[name].shape != parameter.shape:
            raise ValueError(f"{name} has the shape {list(tensors[name].shape)}")
        moments.setdefault(parameter, {})[kind] = tensors[name]
    if len({frozenset(state) for state in moments.values()}) > 1:
        raise ValueError("the optimiser's tensors are not the same for all parameters")
    return moments


def _checksum(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """Return the digest of the metadata and of the tensors' names, types, shapes and bytes."""
    total = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
