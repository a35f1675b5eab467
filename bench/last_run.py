"""The data of the last run, read from the catalog, and trainings on changed rows of it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.data.augmentation import mirrorable_concepts
from cultureclip.clip.export.checkpoint import save_checkpoint
from cultureclip.clip.settings import RunSettings
from cultureclip.clip.training.runs import train_adapter
from cultureclip.concepts.general_pairs import PairPictures
from cultureclip.models.weights.locate import locate
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.train.parameters import TrainParameters

ROOT = Path(__file__).parents[1]
TABLES = ("cultwin", "images", "concepts", "twins", "general_pairs")


class LastRun:
    """The tables of the last run and its settings.

    Args:
        work: Folder of what the script makes.
        more: Further tables, beside those that a training reads.
    """

    def __init__(self, work: Path, more: Sequence[str] = ()) -> None:
        bootstrap_project(ROOT)
        with KedroSession.create(ROOT) as session:
            context = session.load_context()
            self._train = TrainParameters.model_validate(context.params["train"])
            self.evaluation = EvaluationParameters.model_validate(context.params["evaluation"])
            self.tables = {name: context.catalog.load(name) for name in (*TABLES, *more)}
        self.work, self.objective = work, self.evaluation.proposed_objective
        self.settings: RunSettings = self._train.run_settings(self.objective)
        pairs = self.tables["general_pairs"]
        texts = dict(zip(pairs["pair_id"], pairs["text"], strict=True))
        self._general = GeneralPairs(texts, PairPictures(pairs, self._train.general_pairs.picture_size))

    def train(self, rows: pd.DataFrame, settings: RunSettings, name: str, seed: int) -> Path:
        """Train the proposed objective, or find what was trained on these rows; return the merged model's folder."""
        checkpoint, _ = train_adapter(
            rows,
            self.tables["images"],
            self._general,
            locate(self._train.base),
            card={"base": self._train.base},
            name=f"{name}, seed {seed}",
            objective=self.objective,
            seed=seed,
            settings=settings,
            work_dir=Path(self._train.work_dir),
            mirrorable=mirrorable_concepts(self.tables["concepts"], settings.augmentation.never_mirrored),
        )
        folder = self.work / "models" / checkpoint.card.training_key
        if not (folder / "merged").exists():
            save_checkpoint(checkpoint, folder)
        return folder / "merged"
