"""Where a language model's weights go, and in which numbers: options of ``from_pretrained``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cultureclip.models.precision import native_dtype
from cultureclip.models.settings import LanguageModelSettings


@dataclass(frozen=True)
class Placement:
    """Placement of a model's weights.

    Attributes:
        dtype: Number type to compute in.
        device: Device of a model that fits on one.
        device_map: Strategy of ``accelerate`` to spread a model over devices; None for one device.
        quantization: Fields of a quantisation config of ``transformers``; None for weights as they are.
    """

    dtype: torch.dtype
    device: str
    device_map: str | None = None
    quantization: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, settings: LanguageModelSettings) -> "Placement":
        """Read the placement that settings ask for."""
        dtype = native_dtype(settings.device) if settings.dtype == "auto" else getattr(torch, settings.dtype)
        return cls(dtype, settings.device, settings.device_map, settings.quantization)

    def describe(self) -> str:
        """Name everything that can change an answer, for the keys of kept answers."""
        return str(self.dtype) + (f" {sorted(self.quantization.items())}" if self.quantization else "")

    def options(self) -> dict[str, Any]:
        """Return the options of ``from_pretrained``; a quantised model is put onto its device while it is read."""
        options: dict[str, Any] = {"dtype": self.dtype}
        if self.device_map or self.quantization:
            options["device_map"] = self.device_map or self.device
        if self.quantization:
            options["quantization_config"] = dict(self.quantization)
        return options

    def put(self, model: Any) -> Any:
        """Put a model onto its device, unless it was placed while it was read."""
        return model if "device_map" in self.options() else model.to(self.device)
