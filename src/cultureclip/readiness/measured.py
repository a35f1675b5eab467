"""Measurements of what items of a stage take, with the settings that they are true for."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cultureclip.ids import digest
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import RefusedError
from cultureclip.settings_base import Settings

if TYPE_CHECKING:
    from cultureclip.models.chat.asking import Usage
    from cultureclip.models.chat.request import Answer

MEASURED = "measured.json"
"""File in the folder of a preview."""
_CHAT = ("max_new_tokens", "temperature", "top_p", "sentence_encoder")
_STEP = ("batch", "chunk", "precision", "checkpoint_activations", "cache_frozen_blocks", "compile", "device")
_DECIDES: dict[str, dict[str, Any]] = {
    "captioning": dict.fromkeys(("language_model", "kinds", "max_tries", "revise", "voices", "rules", *_CHAT), True),
    "synthesis": dict.fromkeys(("model", "device", "dtype", "scheduler", "call", "batch_size"), True),
    "filtering": dict.fromkeys(("judges", "vision_language", "attribution", "judge", "device", "batch"), True),
    "train": dict.fromkeys(("base", "lora", "replay", "launch"), True) | {"trainer": set(_STEP)},
}
"""Stage -> the parameters that decide what an item takes; of a stage that is not named here, all but the exclusions."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What some items of a stage took.

    Attributes:
        stage: Name of the stage.
        key: From :func:`rate_key`: of the settings that were measured.
        how: How it was measured, in words.
        items: Number of items.
        seconds: Time of the model, without loading it; None where nothing was made.
        tokens_read: Tokens that a chat model read; None where none was asked.
        tokens_written: Tokens that it wrote, likewise.
        bytes: Bytes to store; None where not measured.
    """

    stage: str
    key: str
    how: str
    items: int
    seconds: float | None = None
    tokens_read: float | None = None
    tokens_written: float | None = None
    bytes: float | None = None

    def as_record(self) -> dict[str, str]:
        """Return the file that :func:`read_measured` reads, as name -> text."""
        return {MEASURED: json.dumps(asdict(self), indent=2) + "\n"}


def rate_key(stage: str, settings: Settings) -> str:
    """Return a digest of the settings that decide what an item of a stage takes.

    Args:
        stage: Name of the stage.
        settings: Its parameters.
    """
    values: dict[str, Any] = settings.model_dump(mode="json", include=_DECIDES.get(stage), exclude={"exclude"})
    return digest("rate", stage, json.dumps(values, sort_keys=True))


def measure_answers(
    stage: str, settings: Settings, how: str, items: int, answers: Sequence["Answer"], usage: "Usage"
) -> Measured:
    """Say what items took of a chat model, kept answers included.

    The seconds are those of the answers given now, scaled to all of them; None where the model was not asked now.

    Args:
        stage: Name of the stage.
        settings: Its parameters.
        how: How it was measured, in words.
        items: Number of items that the answers are for.
        answers: All of them.
        usage: How many were asked for now, and their seconds.
    """
    return Measured(
        stage=stage,
        key=rate_key(stage, settings),
        how=how,
        items=items,
        seconds=usage.seconds / usage.asked * len(answers) if usage.asked else None,
        tokens_read=sum(answer.prompt_tokens for answer in answers),
        tokens_written=sum(answer.completion_tokens for answer in answers),
    )


def read_measured(path: Path) -> Measured | None:
    """Read what a preview has measured; None where the file is missing, damaged or of another version."""
    try:
        return Measured(**read_object(path))
    except (OSError, RefusedError, TypeError):
        return None
