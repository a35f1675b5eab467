"""Both towers of an open_clip model as ONNX graphs, for onnxruntime and other engines."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cultureclip.engine.folders import building
from cultureclip.errors import ConfigurationError, WeightsError
from cultureclip.models.encoder import CONFIG_NAME, ImageTextEncoder, load_encoder
from cultureclip.models.weights.fingerprint import TOKENIZER_FILES
from cultureclip.reading.text import first_line

IMAGE_NAME, TEXT_NAME = "image.onnx", "text.onnx"
_TOLERANCE = 1e-4
"""Largest allowed difference of an entry of a normalised embedding."""
_TEXTS = ("a photo", "a red kimono with a silk sash", "!")


class _Tower(nn.Module):
    """One tower with its normalisation; the batch is the only dimension that may change.

    Args:
        model: The open_clip model, which holds the weights.
        encode: Its method for this tower.
    """

    def __init__(self, model: nn.Module, encode: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.encode = model, encode

    def forward(self, inputs: Tensor) -> Tensor:
        return F.normalize(self.encode(inputs).float(), dim=-1)


def check_onnx() -> None:
    """Make sure that the packages of the extra ``onnx`` are installed.

    Raises:
        ConfigurationError: if one cannot be imported.
    """
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("onnx", f"cannot be exported ({error})", "pip install cultureclip[onnx]") from error


def to_onnx(source: Path, destination: Path) -> None:
    """Write ``image.onnx`` and ``text.onnx``, fp32, with the model's config and tokenizer beside them.

    The inputs are preprocessed pixels [N, 3, H, W] and tokens [N, context length]; the output ``embeddings`` is
    L2-normalised. onnxruntime must compute what torch computes before the folder appears.

    Args:
        source: Directory of an open_clip model, such as a checkpoint's ``merged``.
        destination: Must not exist.

    Raises:
        ConfigurationError: if the extra ``onnx`` is not installed.
        WeightsError: if the model cannot be loaded or exported, or onnxruntime computes something else.
        StorageError: if the destination exists.
    """
    check_onnx()
    with building(destination) as folder:
        encoder = load_encoder(source)
        encoder.model.eval()
        for name, entry, encode, inputs in _towers(encoder):
            tower = _Tower(encoder.model, encode).eval()
            _export(tower, inputs[:2], entry, folder / name, source)
            _compare(tower, inputs, entry, folder / name, source)
        for name in (CONFIG_NAME, *TOKENIZER_FILES):
            if (source / name).is_file():
                shutil.copyfile(source / name, folder / name)


def _towers(encoder: ImageTextEncoder) -> list[tuple[str, str, Callable[[Tensor], Tensor], Tensor]]:
    """Return file, name of the input, method and three inputs of each tower."""
    size = encoder.model.visual.image_size
    height, width = size if isinstance(size, tuple) else (size, size)
    pixels = torch.randn(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    tokens = encoder.tokenizer(list(_TEXTS))
    model: Any = encoder.model
    return [(IMAGE_NAME, "pixels", model.encode_image, pixels), (TEXT_NAME, "tokens", model.encode_text, tokens)]


def _export(tower: nn.Module, inputs: Tensor, entry: str, file: Path, source: Path) -> None:
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)  # it warns of optional packages on every call
    try:
        torch.onnx.export(
            tower,
            (inputs,),
            file,
            input_names=[entry],
            output_names=["embeddings"],
            dynamic_shapes=({0: "n"},),
            dynamo=True,
            external_data=True,  # one file may not hold more than 2 GB
            verbose=False,
        )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        cause = f"{entry}: torch cannot export it ({first_line(error)})"
        raise WeightsError(source, cause, "Use the open_clip directory") from error
    finally:
        exporter.setLevel(level)


def _compare(tower: nn.Module, inputs: Tensor, entry: str, file: Path, source: Path) -> None:
    """Refuse a graph that does not compute the tower, for a batch of another size than it was traced with."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (found,) = session.run(["embeddings"], {entry: inputs.numpy()})
    with torch.no_grad():
        expected = tower(inputs).numpy()
    difference = float(np.abs(found - expected).max())
    if not difference <= _TOLERANCE:  # NaN, too
        raise WeightsError(
            source, f"{entry}: onnxruntime differs from torch by {difference:.1e}", "Use the open_clip directory"
        )
