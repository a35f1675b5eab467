"""Parameters of the train stage."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from cultureclip.clip.settings import RunSettings
from cultureclip.pipelines.settings import Settings


class GeneralPairsSettings(Settings):
    """General pictures that are replayed while culture is learned.

    Attributes:
        source: ``emoji``, or a folder with pictures and a ``metadata.csv`` (file_name, text); None for none.
        most: Largest number of pairs.
        picture_size: Edge in pixels that emoji are drawn at.
    """

    source: str | None = None
    most: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    picture_size: Annotated[int, Field(ge=16, le=1024)] = 48


class TrainParameters(RunSettings):
    """How CLIP is tuned; beside the settings of a run, on what, and which runs there are.

    Attributes:
        base: The model to tune: a directory, or ``package:<module>/<path>``.
        base_revision: Its revision, if it has one.
        objectives: Names of losses; each is trained with every seed.
        seeds: Of initial values, data order, augmentation and dropout.
        update_scale: Share of the update in the merged model, 0 (base) to 1.
        general_pairs: What ``replay`` replays.
        work_dir: Where unfinished and finished trainings are kept by key.
    """

    base: str
    base_revision: str | None = None
    objectives: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]
    update_scale: Annotated[float, Field(ge=0, le=1)] = 1.0
    general_pairs: GeneralPairsSettings = GeneralPairsSettings()
    work_dir: str

    @model_validator(mode="after")
    def _replay_has_a_source(self) -> Self:
        if self.replay.batch and self.general_pairs.source is None:
            raise ValueError("replay.batch needs pairs: set general_pairs.source, or replay.batch to 0")
        return self

    def run_settings(self) -> RunSettings:
        """The part that decides a training's outcome."""
        return RunSettings(**{name: getattr(self, name) for name in RunSettings.model_fields})
