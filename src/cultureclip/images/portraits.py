"""Pictures of concepts that have none: generated from their features, by the models and the store of synthesis."""

import logging
from collections.abc import Iterator

import pandas as pd
from PIL import Image
from pydantic import Field, field_validator

from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.images.generation import generate_missing
from cultureclip.images.requests import plan_requests, read_recipe
from cultureclip.images.settings import GenerationSettings
from cultureclip.images.store import ShardStore

logger = logging.getLogger(__name__)

_SHARD_DIGITS = 1
_READ_AT_ONCE = 64


class PortraitSettings(GenerationSettings):
    """How concepts without a picture are drawn.

    Attributes:
        prompt: What is asked for, with ``{name}`` and ``{features}``.
        pictures: Pictures of each concept.
    """

    prompt: str
    pictures: int = Field(ge=1, le=100)

    @field_validator("prompt")
    @classmethod
    def _names_features(cls, prompt: str) -> str:
        if "{features}" not in prompt:
            raise ValueError("must contain {features}, what a picture is made from")
        try:
            prompt.format(name="", features="")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"knows {{name}} and {{features}} alone: {error}") from error
        return prompt


class Portraits:
    """Pictures of concepts, each generated once.

    Args:
        concepts: Columns concept_id, name and key_visual_features; a concept without features gets no picture.
        settings: How they are drawn; None: not one is.
        store: Gets the pictures that it lacks.
        engine: Where they are generated, and shared with whom.
    """

    def __init__(
        self,
        concepts: pd.DataFrame,
        settings: PortraitSettings | None,
        store: ShardStore,
        engine: EngineSettings = HERE,
    ) -> None:
        drawn = concepts[:0] if settings is None else concepts[concepts["key_visual_features"].map(len) > 0]
        if settings is not None and len(drawn) < len(concepts):
            logger.warning("%d concepts have neither picture nor features to draw", len(concepts) - len(drawn))
        self._settings, self._store, self._engine = settings, store, engine
        self._plan = pd.DataFrame({"caption_id": [], "image_id": []})
        if settings is not None and len(drawn):
            ends = zip(drawn["name"], drawn["key_visual_features"], strict=True)
            prompts = [settings.prompt.format(name=name, features=", ".join(features)) for name, features in ends]
            asked = pd.DataFrame({"caption_id": drawn["concept_id"], "english": prompts, "verdict": "accepted"})
            plan = plan_requests(asked, read_recipe(settings), settings.pictures, _SHARD_DIGITS)
            self._plan = plan.sort_values(["caption_id", "image_id"], ignore_index=True)

    @property
    def concepts(self) -> list[str]:
        """The concept of each picture."""
        return list(self._plan["caption_id"])

    def __iter__(self) -> Iterator[Image.Image]:
        """Generate what is missing, then yield every picture, concept by concept."""
        if self._settings is None or self._plan.empty:
            return
        report = generate_missing(self._plan, self._store, self._settings, self._engine)
        logger.info("Mining: %d pictures of concepts without one, %d of them new", report.planned, report.generated)
        ids = list(self._plan["image_id"])
        for start in range(0, len(ids), _READ_AT_ONCE):
            yield from self._store.read(ids[start : start + _READ_AT_ONCE]).values()
