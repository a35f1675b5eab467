"""The trainings of a run, several at a time, each in a process of its own with its share of the processor.

A small model gains little from a second core: two trainings with one thread each end sooner than one after the other
with two (docs/speed.md).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cultureclip.clip.contracts import Checkpoint, GeneralPairs
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.keys import find_folder, is_finished
from cultureclip.clip.training.runs import train_adapter
from cultureclip.clip.training.training_log import LogRow
from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import EngineSettings
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.settings_base import Device


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training to be done; its fields are arguments of :func:`~cultureclip.clip.training.runs.train_adapter`."""

    cultwin: pd.DataFrame = field(repr=False)
    images: ImageSource
    general: GeneralPairs | None = field(repr=False)
    base: Path
    card: Mapping[str, object]
    name: str
    objective: str
    seed: int
    settings: RunSettings
    work_dir: Path
    mirrorable: Collection[str] = field(repr=False)

    def run(self) -> tuple[Checkpoint, list[LogRow]]:
        """Train, or take the finished result."""
        return train_adapter(**vars(self))

    def find_folder(self) -> Path:
        """Return the folder that its outcome lies in, or will lie in."""
        return find_folder(**{name: value for name, value in vars(self).items() if name not in ("card", "name")})


def train_together(trainings: Collection[Training], at_once: int) -> None:
    """Do the trainings that are not finished, several at a time; one alone is left to whoever asks for it.

    Args:
        trainings: Trainings with different names.
        at_once: Most processes at a time; with 1 nothing is done here.

    Raises:
        CultureClipError: if a training stopped at such an error.
        JobError: if a training failed otherwise, or its process died again and again.
    """
    folders = {training.name: training.find_folder() for training in trainings} if at_once > 1 else {}
    waiting = [one for one in trainings if one.name in folders and not is_finished(folders[one.name])]
    if len(waiting) < 2:
        return
    slices = [Slice(slice_name([folders[one.name].name]), one, 1) for one in waiting]
    job = Job("trainings", slices, _make_trainer, (__name__, "cultureclip.models.encoder"))
    settings = EngineSettings(kind="pool", workers=min(at_once, len(waiting)))
    work = SharedWork(settings, "trainings", digest("trainings", [piece.name for piece in slices]))
    with progress_bar(total=len(slices), desc="trainings") as bar:
        for _ in work.run(job):
            bar.update()


def _make_trainer(_: Device | None) -> "_Trainer":
    """Make the worker of a process; a training's own settings name its device."""
    return _Trainer()


class _Trainer:
    """Trains in a process of its own; the result lies in the training's folder."""

    def __call__(self, training: Training) -> Iterator[str]:
        """Train to the end, and yield the name."""
        training.run()
        yield training.name
