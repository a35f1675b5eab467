"""LoRA in the last 2 blocks with the frozen blocks' activations cached, against all blocks, on pocket.

    python bench/last_k.py [--seeds 1 2 3] [--steps 120]

Reads the training data of the last `kedro run` in this project. Three ways, in turn, for every seed: all blocks; the
last 2 blocks, run through all; the last 2 blocks from cached activations. None changes images at random, which the
cache does not allow. Accuracy is on the dev part of the culture benchmarks. Prints a table and, as its last line,
one JSON object.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from machine import describe_machine

from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.evaluate import answer_benchmarks
from cultureclip.benchmarks.pocket import collect_pocket
from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.export.checkpoint import save_checkpoint
from cultureclip.clip.settings import AugmentationSettings, RunSettings
from cultureclip.clip.training.runs import train_adapter
from cultureclip.concepts.general_pairs import PairPictures
from cultureclip.models.weights.locate import locate
from cultureclip.pipelines.train.parameters import TrainParameters

ROOT, BLOCKS, OBJECTIVE, GENERAL = Path(__file__).parents[1], 2, "cultureclip", "general-retrieval"
TABLES = ("cultwin", "images", "concepts", "twins", "general_pairs")
WAYS = {"all blocks": (None, False), "last 2": (BLOCKS, False), "last 2, kept": (BLOCKS, True)}


class Result(NamedTuple):
    """Of one training: twins a second, seconds in all, accuracy on n questions."""

    speed: float
    seconds: float
    accuracy: float
    n: int


class Pocket:
    """The training data of the last run, and the questions."""

    def __init__(self) -> None:
        bootstrap_project(ROOT)
        with KedroSession.create(ROOT) as session:
            context = session.load_context()
            self.train = TrainParameters.model_validate(context.params["train"])
            self.tables = {name: context.catalog.load(name) for name in TABLES}
        pairs = self.tables["general_pairs"]
        texts = dict(zip(pairs["pair_id"], pairs["text"], strict=True))
        self.general = GeneralPairs(texts, PairPictures(pairs, self.train.general_pairs.picture_size))
        asked = collect_pocket(self.tables["concepts"], self.tables["twins"], 48)
        self.benchmarks = [benchmark for benchmark in asked if benchmark.name != GENERAL]

    def settings(self, blocks: int | None, keep: bool, steps: int) -> RunSettings:
        """The product's, but for where the adapter sits and without random change of images."""
        settings = self.train.run_settings(OBJECTIVE)
        trainer = {"cache_frozen_blocks": keep, "steps": steps, "eval_every": steps}
        return settings.model_copy(
            update={
                "lora": settings.lora.model_copy(update={"last_blocks": blocks}),
                "augmentation": AugmentationSettings(zoom=0, shift=0, colour=0),
                "trainer": settings.trainer.model_copy(update=trainer),
            }
        )

    def run(self, name: str, seed: int, settings: RunSettings, work: Path) -> Result:
        """Train and answer the dev questions."""
        began = time.perf_counter()
        checkpoint, log = train_adapter(
            self.tables["cultwin"],
            self.tables["images"],
            self.general,
            locate(self.train.base),
            card={"base": self.train.base},
            name=f"{name}, seed {seed}",
            objective=OBJECTIVE,
            seed=seed,
            settings=settings,
            work_dir=work / name,
        )
        seconds = time.perf_counter() - began
        save_checkpoint(checkpoint, work / f"{name} {seed}")
        models = {name: work / f"{name} {seed}" / "merged"}
        answers, _ = answer_benchmarks(models, self.benchmarks, work / "cache", EmbeddingSettings(batch=128))
        table = pd.DataFrame(answers)
        dev = table[(table["part"] == "dev") & table["item_id"].str.startswith("accuracy:")]
        accuracy = float(dev.groupby("benchmark")["correct"].mean().mean())
        return Result(log[-1]["twins_per_second"], seconds, accuracy, len(dev))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=120)
    options = parser.parse_args()
    print(describe_machine())
    pocket = Pocket()
    found: dict[str, list[Result]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            for way, (blocks, keep) in WAYS.items():
                settings = pocket.settings(blocks, keep, options.steps)
                found[way].append(pocket.run(way, seed, settings, Path(folder)))
    speed, seconds = (
        {way: statistics.median(getattr(r, field) for r in results) for way, results in found.items()}
        for field in ("speed", "seconds")
    )
    for way, results in found.items():
        each = ", ".join(f"{100 * r.accuracy:.1f}" for r in results)
        figures = f"{speed[way]:6.1f} twins/s, {seconds[way]:5.1f} s in all, culture on dev {each} % (n {results[0].n})"
        print(f"{way:13} {figures}")
    whole, kept = "all blocks", "last 2, kept"
    change = statistics.mean(r.accuracy for r in found[kept]) - statistics.mean(r.accuracy for r in found[whole])
    print(
        json.dumps(
            {
                "speed_up_step": round(speed[kept] / speed[whole], 3),
                "speed_up_all": round(seconds[whole] / seconds[kept], 3),
                "accuracy_change": round(change, 4),
                "seeds": len(options.seeds),
                "n": found[kept][0].n,
            }
        )
    )


if __name__ == "__main__":
    main()
