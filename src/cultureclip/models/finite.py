"""Refuse NaN and infinity in a model's weights at loading, and in its results."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from cultureclip.errors import WeightsError


def check_finite(state: Mapping[str, Tensor], source: Path) -> None:
    """Check every floating-point tensor of a state dict.

    Args:
        state: Tensors by name.
        source: The file or the directory that they were read from.

    Raises:
        WeightsError: if a tensor holds NaN or infinity; the error names the file and the tensor.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not is_finite(tensor):
            raise WeightsError(
                _find_file(name, source),
                f"the tensor {name} holds NaN or infinity",
                "Copy or download the file again; if it is of your own training, train again",
            )


def is_finite(tensor: Tensor) -> bool:
    """Tell whether all values are finite. The tensor is read once and never copied, except from 8-bit types."""
    if tensor.numel() == 0:
        return True
    values = tensor if tensor.element_size() > 1 else tensor.float()
    return all(bool(bound.isfinite()) for bound in values.aminmax())


def check_computed(rows: Tensor, source: Path, kind: str) -> None:
    """Check a model's results.

    Args:
        rows: One row per item.
        source: Location of the model.
        kind: Name of the items and of their results, such as ``texts have embeddings``.

    Raises:
        WeightsError: if a row holds NaN or infinity.
    """
    bad = int((~rows.flatten(1).isfinite().all(1)).sum())
    if bad:
        raise WeightsError(
            source,
            f"{bad} of {len(rows)} {kind} that are not finite",
            "Its weights are finite, so its number type is too narrow or its weights are too large: "
            "compute in float32, or take another model",
        )


def _find_file(name: str, source: Path) -> Path:
    """Find the weights file that holds a tensor; return the directory if the library renames tensors."""
    files = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    for file in files:
        try:
            with safe_open(file, framework="pt") as handle:
                if name in handle.keys():  # noqa: SIM118  not a mapping
                    return file
        except SafetensorError:
            continue
    return files[0] if len(files) == 1 else source
