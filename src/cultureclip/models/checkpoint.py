"""Resumable training state in safetensors: parameters, optimiser moments and the step, written atomically.

No pickle is involved. Data order and augmentation are drawn from generators seeded by (seed, step), so the step number
is all the random state that a resume needs.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from cultureclip.engine.atomic import replacing
from cultureclip.errors import StorageError, WeightsError
from cultureclip.models.finite import check_finite
from cultureclip.models.pickled_files import is_pickle, refuse_pickle


def save_atomically(tensors: Mapping[str, torch.Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors to a safetensors file; a reader sees the old file or the new one.

    Raises:
        StorageError: the disk is full or failing.
    """
    copies = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    try:
        with replacing(path) as temporary:
            save_file(copies, temporary, dict(metadata or {}))
    except (OSError, SafetensorError) as error:
        raise StorageError(path, f"cannot be written ({error})", "Free disk space, or write to another disk") from error


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a safetensors file.

    Returns:
        The tensors and the file's metadata.

    Raises:
        WeightsError: if the file is missing, truncated or in another format, or a tensor holds NaN or infinity.
    """
    if not path.is_file():
        raise WeightsError(path, "no such weights file", "Check the path, or run the pipeline that writes it")
    if is_pickle(path):
        raise refuse_pickle(path, path.with_suffix(".safetensors"))
    try:
        with safe_open(path, framework="pt") as handle:
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118  not a mapping
            metadata = handle.metadata() or {}
    except SafetensorError as error:
        raise WeightsError(path, f"not a whole safetensors file ({error})", "Copy or download it again") from error
    check_finite(tensors, path)
    return tensors, metadata


def save_training_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Save what is needed to go on after ``step`` optimiser steps."""
    names = {id(p): n for n, p in model.named_parameters()}
    tensors = {f"model.{n}": t for n, t in model.state_dict().items()}
    for parameter, state in optimizer.state.items():
        tensors |= {f"optimizer.{names[id(parameter)]}.{k}": torch.as_tensor(v) for k, v in state.items()}
    save_atomically(tensors, path, {"step": str(step)})


def load_training_state(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore what :func:`save_training_state` wrote, in place.

    Returns:
        The number of steps already done; 0 when there is no file.

    Raises:
        WeightsError: the file is damaged, or is of another model.
    """
    if not path.exists():
        return 0
    tensors, metadata = load_tensors(path)
    prefix = "model."
    try:
        step = int(metadata["step"])
        model.load_state_dict({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsError(path, f"no state of this training ({error!r})", "Remove it to train anew") from error
    for name, parameter in model.named_parameters():
        prefix = f"optimizer.{name}."
        state = {
            k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix) and "." not in k[len(prefix) :]
        }
        if state:
            optimizer.state[parameter] = state
    return step
