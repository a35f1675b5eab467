"""Parameters of the train stage."""

from importlib.util import find_spec
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES, ObjectiveName
from cultureclip.clip.settings import RunSettings
from cultureclip.concepts.exclusions import Excluding
from cultureclip.models.settings import OpenClipPath
from cultureclip.settings_base import Settings


class GeneralPairsSettings(Settings):
    """General pictures that are replayed while culture is learned.

    Attributes:
        source: ``emoji``, or a folder with pictures and a ``metadata.csv`` (file_name, text); None for no pairs.
        most: Largest number of pairs.
        picture_size: Edge in pixels that emoji are drawn at.
    """

    source: str | None = None
    most: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    picture_size: Annotated[int, Field(ge=16, le=1024)] = 48


class Variant(Settings):
    """An objective trained with other settings, under a name of its own.

    Attributes:
        objective: Name of the loss.
        settings: Differences from the settings of all runs, at any depth: ``{trainer: {lr: 0.001}}``.
    """

    objective: ObjectiveName
    settings: dict[str, Any]


class Trainings(Settings):
    """The trainings, which decide the pipeline's nodes.

    Attributes:
        objectives: Names of losses or of variants; each is trained with every seed.
        variants: Objectives with settings of their own, by name.
        seeds: Seeds of initial values, data order, augmentation and dropout.
        hard_negatives: Whether rows get hard negatives from the table ``culture_instances``.
    """

    objectives: Annotated[tuple[str, ...], Field(min_length=1)]
    variants: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Variant] = Field(default_factory=dict)
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1)]
    hard_negatives: bool = False

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        losses = tuple(OBJECTIVE_TITLES)
        known = (*losses, *self.variants)
        if len(set(known)) < len(known):
            raise ValueError(f"a variant has the name of a loss; these are {', '.join(losses)}")
        if unknown := [name for name in self.objectives if name not in known]:
            raise ValueError(f"there is no objective {unknown[0]!r}; choose among {', '.join(known)}")
        for names in (self.objectives, self.seeds):
            if len(set(names)) < len(names):
                raise ValueError(f"an entry of {list(names)} is there twice")
        return self


class TrainParameters(RunSettings, Trainings, Excluding):
    """Settings of the tuning: the settings of a run, the runs, and their data.

    Attributes:
        base: The model to tune: a directory, or ``package:<module>/<path>``.
        base_revision: Revision of the base, if it has one.
        update_scale: Share of the update in the merged model, 0 (base) to 1.
        general_pairs: Pairs that ``replay`` replays.
        work_dir: Folder of unfinished and finished trainings by key.
        at_once: Trainings at a time, each in a process of its own with its share of the cores; 1: one after another, in
            the run's own process.
    """

    base: OpenClipPath
    base_revision: str | None = None
    update_scale: Annotated[float, Field(ge=0, le=1)] = 1.0
    general_pairs: GeneralPairsSettings = GeneralPairsSettings()
    work_dir: str
    at_once: Annotated[int, Field(ge=1, le=64)] = 1

    @model_validator(mode="after")
    def _variants_are_valid(self) -> Self:
        for name in self.variants:
            self.run_settings(name)
        return self

    @model_validator(mode="after")
    def _one_at_a_time_on_many_processes(self) -> Self:
        world = max(self.run_settings(name).launch.world for name in self.objectives)
        if self.at_once > 1 and world > 1:
            raise ValueError(f"at_once {self.at_once}: a training takes {world} processes; set at_once to 1")
        return self

    @model_validator(mode="after")
    def _replay_has_a_source(self) -> Self:
        if self.replays and self.general_pairs.source is None:
            raise ValueError("replay.batch needs pairs: set general_pairs.source, or replay.batch to 0")
        return self

    @model_validator(mode="after")
    def _has_what_launches(self) -> Self:
        kinds = {self.run_settings(name).launch.kind for name in self.objectives}
        if "ray" in kinds and find_spec("ray") is None:
            raise ValueError("launch.kind: ray needs the package ray: pip install 'cultureclip[ray]'")
        return self

    @model_validator(mode="after")
    def _hard_negatives_are_read(self) -> Self:
        weighs = any(self.run_settings(name).objective.hard_negative_weight for name in self.objectives)
        if weighs != self.hard_negatives:
            raise ValueError(
                "hard_negatives and a weight belong together: set hard_negatives and objective.hard_negative_weight "
                "(of all trainings or of a variant), or neither"
            )
        return self

    @property
    def replays(self) -> bool:
        """Whether any training replays general pairs."""
        return any(self.run_settings(name).replay.batch for name in self.objectives)

    def objective_of(self, name: str) -> str:
        """Return the loss that an entry of ``objectives`` trains with."""
        return self.variants[name].objective if name in self.variants else name

    def run_settings(self, name: str) -> RunSettings:
        """Return the part that decides the outcome of an entry of ``objectives``."""
        shared = {field: getattr(self, field) for field in RunSettings.model_fields}
        if name not in self.variants:
            return RunSettings(**shared)
        common = {field: v.model_dump() if hasattr(v, "model_dump") else v for field, v in shared.items()}
        return RunSettings.model_validate(_merge(common, self.variants[name].settings))


def _merge(common: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return ``common`` with the entries of ``own`` in place of its own, at any depth."""
    nested = {
        key: _merge(common[key], value)
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(common.get(key), dict)
    }
    return common | own | nested
