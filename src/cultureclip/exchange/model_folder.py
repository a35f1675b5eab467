"""The folder of an exported model: every format, the card, and checksums of all files."""

from dataclasses import dataclass
from pathlib import Path

from cultureclip.clip.contracts import ADAPTER_NAME, CARD_NAME, AdapterCard, Checkpoint, SavedCheckpoint
from cultureclip.exchange.checksums import CARD, write_checksums
from cultureclip.exchange.facts import ModelFacts
from cultureclip.exchange.model_card import write_model_card
from cultureclip.exchange.model_facts import published_base
from cultureclip.exchange.settings import ModelExportSettings
from cultureclip.models.weights.checkpoint import save_atomically

ADAPTER_FOLDER = "adapter"


@dataclass(frozen=True)
class ModelFolder:
    """A model that is written when its folder is asked for.

    Attributes:
        checkpoint: The training.
        base: Directory of the base that it was tuned from.
        scale: Share of the update in the exported weights.
        facts: What the card says.
        settings: Name, licence and formats.
    """

    checkpoint: SavedCheckpoint
    base: Path
    scale: float
    facts: ModelFacts
    settings: ModelExportSettings

    def write(self, folder: Path) -> None:
        """Write everything into a folder that does not exist yet; the card comes first and the checksums last."""
        from cultureclip.clip.export.checkpoint import read_weights, save_merged

        card = self._card()
        described = write_model_card(card, self.facts, self.settings)  # a missing field stops before any work
        adapter = read_weights(self.checkpoint.path / ADAPTER_NAME)
        save_merged(Checkpoint(adapter, card, self.base), folder)
        own = folder / ADAPTER_FOLDER
        own.mkdir()
        save_atomically(adapter, own / ADAPTER_NAME)
        public = card.model_copy(update={"base": published_base(card)})
        (own / CARD_NAME).write_text(public.model_dump_json(indent=1) + "\n", encoding="utf-8")
        self._convert(folder)
        (folder / CARD).write_text(described, encoding="utf-8")
        write_checksums(folder)

    def _card(self) -> AdapterCard:
        return self.checkpoint.card.model_copy(update={"update_scale": self.scale})

    def _convert(self, folder: Path) -> None:
        from cultureclip.clip.export.huggingface import to_huggingface
        from cultureclip.clip.export.onnx_format import to_onnx
        from cultureclip.clip.export.peft_format import to_peft

        if "transformers" in self.settings.formats:
            to_huggingface(folder, folder / "transformers")
        if "peft" in self.settings.formats:
            to_peft(folder / ADAPTER_FOLDER, folder / "peft")
        if "onnx" in self.settings.formats:
            to_onnx(folder, folder / "onnx")
