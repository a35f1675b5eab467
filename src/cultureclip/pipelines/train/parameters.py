"""Parameters of the train stage."""

from typing import Annotated

from pydantic import Field

from cultureclip.clip.settings import RunSettings


class TrainParameters(RunSettings):
    """How CLIP is tuned; beside the settings of a run, on what, and which runs there are.

    Attributes:
        base: The model to tune: a directory, or ``package:<module>/<path>``.
        base_revision: Its revision, if it has one.
        objectives: Names of losses; each is trained with every seed.
        seeds: Of initial values, data order, augmentation and dropout.
        update_scale: Share of the update in the merged model, 0 (base) to 1.
        work_dir: Where unfinished and finished trainings are kept by key.
    """

    base: str
    base_revision: str | None = None
    objectives: Annotated[tuple[str, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]
    update_scale: Annotated[float, Field(ge=0, le=1)] = 1.0
    work_dir: str

    def run_settings(self) -> RunSettings:
        """The part that decides a training's outcome."""
        return RunSettings(**{name: getattr(self, name) for name in RunSettings.model_fields})
