"""What would help with concepts that were never tuned on: other prompts, other training texts, other negatives.

    nice -n 19 python bench/never_tuned_on.py [--seeds 1 2 3] [--work data/never_tuned_on]

Takes the data of the last run, leaves half of the clusters of twins out of its training rows, changes the others in one
way at a time, trains the proposed objective on them with the run's settings and asks twin scores with several texts.
Measured is the group score on the twins that were left out, on the others, and, of the run's own models, which were
tuned on all rows, on those that it never tuned on. docs/never-tuned-on.md has the hypotheses, which were written before
any run, and the results. Trainings are kept, so the script can be stopped and started again. Prints tables and, as its
last line, one JSON object.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from machine import describe_machine

from cultureclip.benchmarks.concept_texts import NAME_ALONE, describe_concept
from cultureclip.benchmarks.embedding.embeddings import embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.pocket import TWIN_SCORES, collect_pocket
from cultureclip.clip.contracts import GeneralPairs
from cultureclip.clip.data.augmentation import mirrorable_concepts
from cultureclip.clip.export.checkpoint import save_checkpoint
from cultureclip.clip.training.runs import train_adapter
from cultureclip.concepts.general_pairs import PairPictures
from cultureclip.graphs import connect
from cultureclip.ids import digest
from cultureclip.models.locate import locate
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.statistics import ClusteredItems

ROOT, METRICS, FLIPS = Path(__file__).parents[1], ("text", "image", "group"), 5000
TABLES = ("cultwin", "images", "concepts", "twins", "general_pairs")
SIDE = ("concept", "concept_id", "caption", "caption_id", "image_id")
FEATURES = {f"name, {n or 'all'} features": f":{n}" if n else "" for n in (1, 2, 3, 0)}
PROMPTS = {
    "name": NAME_ALONE,
    **{title: f"There is {{name}} in the image: {{key_visual_features{most}}}." for title, most in FEATURES.items()},
    "name, 2 features, context": "There is {name} in the image: {key_visual_features:2}. {context}",
    "2 features": "There is {key_visual_features:2} in the image.",
    "all features": "{key_visual_features}",
}
OWN = "all rows"
"""The run's own training, which leaves nothing out."""
Rows = Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]


def same_rows(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001 - one signature for all
    """Return the rows of the run."""
    return rows


def without_names(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Put the kind of thing where a caption has its concept's name or another name of it."""
    facts = concepts.set_index("concept_id")

    def write(concept: str, caption: str) -> str:
        row = facts.loc[concept]
        names = sorted((row["name"], *row["aliases"]), key=len, reverse=True)
        pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names)
        return re.sub(pattern, lambda _: row["universal"], caption, flags=re.IGNORECASE)

    return _with_captions(rows, write)


def with_definitions(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Put key visual features and context where the caption was."""
    facts = {row["concept_id"]: row for row in concepts.to_dict("records")}

    def write(concept: str, caption: str) -> str:
        return describe_concept(facts[concept], "{key_visual_features}. {context}") or caption

    return _with_captions(rows, write)


def of_half_the_concepts(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    """Keep twins, in a random order, until they show half of the training concepts, and all others of these."""
    train = rows[rows["split"] == "train"]
    pairs = train.drop_duplicates("twin_id").sort_values("twin_id")[["pos_concept_id", "neg_concept_id"]]
    wanted = len({*pairs["pos_concept_id"], *pairs["neg_concept_id"]}) // 2
    kept: set[str] = set()
    for pair in pairs.sample(frac=1, random_state=0).to_numpy().tolist():
        if len(kept.union(pair)) <= wanted:
            kept.update(pair)
    shown = rows["pos_concept_id"].isin(kept) & rows["neg_concept_id"].isin(kept)
    return rows[shown | (rows["split"] != "train")]


def with_random_negatives(rows: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    """Give each training row the negative side of a random row that is about neither of its concepts."""
    train, rng = rows[rows["split"] == "train"].sort_values("row_id"), np.random.default_rng(0)
    own = train[["pos_concept_id", "neg_concept_id"]].to_numpy()
    order = rng.permutation(len(train))

    def clash(place: int, donor: int) -> bool:
        return own[donor, 1] in own[place]

    for place in range(len(order)):  # swap until no row has its own concepts
        while clash(place, order[place]):
            other = int(rng.integers(len(order)))
            if not clash(place, order[other]) and not clash(other, order[place]):
                order[[place, other]] = order[[other, place]]
    columns = [f"neg_{field}" for field in SIDE]
    changed = train.copy()
    changed[columns] = train[columns].to_numpy()[order]
    return pd.concat([changed, rows[rows["split"] != "train"]])


def _with_captions(rows: pd.DataFrame, write: Callable[[str, str], str]) -> pd.DataFrame:
    train = rows["split"] == "train"
    changed = rows.copy()
    for side in ("pos", "neg"):
        texts = zip(rows[f"{side}_concept_id"], rows[f"{side}_caption"], strict=True)
        written = pd.Series([write(*text) for text in texts], index=rows.index)
        changed[f"{side}_caption"] = written.where(train, rows[f"{side}_caption"])
    return changed


TRAININGS: Mapping[str, Rows] = {
    "today": same_rows,
    "captions without names": without_names,
    "definitions": with_definitions,
    "half of the concepts": of_half_the_concepts,
    "random negatives": with_random_negatives,
}


class Demo:
    """The data of the last run, its settings and its questions."""

    def __init__(self, work: Path) -> None:
        bootstrap_project(ROOT)
        with KedroSession.create(ROOT) as session:
            context = session.load_context()
            self.train = TrainParameters.model_validate(context.params["train"])
            self.evaluation = EvaluationParameters.model_validate(context.params["evaluation"])
            self.tables = {name: context.catalog.load(name) for name in TABLES}
        self.work, self.objective = work, self.evaluation.proposed_objective
        pairs = self.tables["general_pairs"]
        texts = dict(zip(pairs["pair_id"], pairs["text"], strict=True))
        self.general = GeneralPairs(texts, PairPictures(pairs, self.train.general_pairs.picture_size))
        self.asked = {title: self._ask(template) for title, template in PROMPTS.items()}
        self.left_out = self._leave_out()
        self.items = self._describe()

    def _ask(self, template: str) -> Any:
        concepts, twins = self.tables["concepts"], self.tables["twins"]
        (benchmark,) = collect_pocket(concepts, twins, self.evaluation.image_size, [TWIN_SCORES], twin_text=template)
        return benchmark

    def _leave_out(self) -> set[str]:
        """Return the concepts of half of the clusters of accepted twins, by a hash."""
        twins = self.tables["twins"]
        accepted = twins[twins["verdict"] == "accepted"]
        cluster = connect(zip(accepted["a_concept_id"], accepted["b_concept_id"], strict=True))
        return {concept for concept, name in cluster.items() if int(digest("left out", name), 16) % 2}

    def _describe(self) -> pd.DataFrame:
        """One row per twin that every prompt asks about: part, cluster, and how it stands to the training rows."""
        rows = self.tables["cultwin"]
        train = rows[rows["split"] == "train"]
        tuned = {*train["pos_concept_id"], *train["neg_concept_id"]}
        id_of = {
            describe_concept(row, NAME_ALONE): row["concept_id"] for row in self.tables["concepts"].to_dict("records")
        }
        found = []
        for twin in self.asked["name"].twins:
            sides = {id_of[text] for text in twin.texts}
            row = {"images": twin.images, "part": twin.part, "cluster": twin.cluster}
            state = {"never": not sides & tuned, "both": sides <= tuned, "left_out": sides <= self.left_out}
            found.append(row | state | {"tuned_on": sides <= tuned - self.left_out})
        everywhere = set.intersection(*({t.images for t in asked.twins} for asked in self.asked.values()))
        table = pd.DataFrame(found).set_index("images")
        return table[table.index.isin(everywhere)]

    def rows_of(self, name: str) -> pd.DataFrame:
        """Return the rows of a training."""
        rows, concepts = self.tables["cultwin"], self.tables["concepts"]
        if name == OWN:
            return rows
        out = rows["pos_concept_id"].isin(self.left_out) | rows["neg_concept_id"].isin(self.left_out)
        return TRAININGS[name](rows[~out | (rows["split"] != "train")], concepts)

    def model(self, name: str, seed: int) -> Path:
        """Train, or find what was trained, and return the merged model's folder."""
        folder = self.work / "models" / f"{name}_{seed}".replace(" ", "_")
        if not (folder / "merged").exists():
            settings = self.train.run_settings(self.objective)
            concepts = self.tables["concepts"]
            checkpoint, _ = train_adapter(
                self.rows_of(name),
                self.tables["images"],
                self.general,
                locate(self.train.base),
                card={"base": self.train.base},
                name=f"{name}, seed {seed}",
                objective=self.objective,
                seed=seed,
                settings=settings,
                work_dir=Path(self.train.work_dir),
                mirrorable=mirrorable_concepts(concepts, settings.augmentation.never_mirrored),
            )
            save_checkpoint(checkpoint, folder)
        return folder / "merged"

    def answer(self, place: str | Path) -> dict[str, np.ndarray]:
        """Return prompt -> group credit of every item."""
        credits = {}
        for title, benchmark in self.asked.items():
            embeddings = embed_benchmarks(place, [benchmark], self.work / "embeddings", EmbeddingSettings(batch=64))
            group = [p.correct for p in benchmark.answer(embeddings)][METRICS.index("group") :: len(METRICS)]
            by_images = dict(zip((twin.images for twin in benchmark.twins), group, strict=True))
            credits[title] = np.array([by_images[images] for images in self.items.index])
        return credits


def compare(items: pd.DataFrame, values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return a score, its difference to a reference, the interval and the sign-flip p-value."""
    sample = ClusteredItems(items["cluster"].to_numpy())
    own, found = sample.estimate_mean(values), sample.estimate_difference(values, reference)
    p_value = sample.test_difference(values, reference, sample.draw_signs(FLIPS, 0))
    ends = {"score": own.value, "difference": found.value, "low": found.low, "high": found.high}
    return ends | {"p": p_value, "n": len(items), "clusters": sample.count}


def report(
    demo: Demo, credits: Mapping[str, Mapping[str, np.ndarray]], parts: Sequence[str], of: str, today: str
) -> list[dict[str, Any]]:
    """Compare trainings and prompts with one training and the name alone, and with the base at the same prompt.

    Args:
        demo: The items.
        credits: Training -> prompt -> credit of every item.
        parts: ``dev``, ``test`` or both.
        of: Column of the items that are compared.
        today: The training that the others are compared with.
    """
    chosen = (demo.items["part"].isin(parts) & demo.items[of]).to_numpy()
    items, rows = demo.items[chosen], []
    if items["cluster"].nunique() < 2:
        return []
    reference = credits[today]["name"][chosen]
    for name, of_prompt in credits.items():
        for prompt, values in of_prompt.items():
            row = {"part": "+".join(parts), "of": of, "training": name, "prompt": prompt}
            to_base = compare(items, values[chosen], credits["base"][prompt][chosen])
            over = {f"base_{key}": to_base[key] for key in ("difference", "low", "high")}
            rows.append(row | compare(items, values[chosen], reference) | over)
    return rows


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one block of figures, in points."""
    if rows:
        print("\n{part}, {of}: n = {n} twins in {clusters} clusters".format_map(rows[0]))
        print(
            "| training | prompt | group | to today, name | to the base, same prompt | p |\n|---|---|---|---|---|---|"
        )
    for row in rows:
        ends = [100 * row[key] for key in ("score", "difference", "low", "high")]
        base = [100 * row[f"base_{key}"] for key in ("difference", "low", "high")]
        line = "| {} | {} | {:.1f} | {:+.1f} ({:+.1f} to {:+.1f})".format(row["training"], row["prompt"], *ends)
        print(line + " | {:+.1f} ({:+.1f} to {:+.1f}) | {:.3f} |".format(*base, row["p"]))


def main() -> None:
    """Train, ask, and print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--work", type=Path, default=ROOT / "data/never_tuned_on")
    parser.add_argument("--trainings", nargs="+", choices=[*TRAININGS, OWN], default=[*TRAININGS, OWN])
    options = parser.parse_args()
    print(describe_machine())
    demo = Demo(options.work)
    print(demo.items.groupby("part")[["never", "both", "left_out", "tuned_on"]].sum().to_string())
    names = list(dict.fromkeys(options.trainings))
    models = {(name, seed): demo.model(name, seed) for seed in options.seeds for name in names}
    credits = {"base": demo.answer(demo.evaluation.base_model)}
    for name in names:
        answers = [demo.answer(models[name, seed]) for seed in options.seeds]
        credits[name] = {prompt: np.mean([a[prompt] for a in answers], axis=0) for prompt in PROMPTS}
    own = {name: credits[name] for name in ("base", OWN) if name in credits}
    changed = {name: values for name, values in credits.items() if name != OWN}
    rows = []
    for parts in (("dev",), ("test",), ("dev", "test")):
        blocks = [report(demo, changed, parts, of, "today") for of in ("left_out", "tuned_on") if "today" in names]
        blocks += [report(demo, own, parts, of, OWN) for of in ("never", "both") if OWN in own]
        for block in blocks:
            show(block)
            rows += block
    print(json.dumps({"seeds": options.seeds, "rows": rows}))


if __name__ == "__main__":
    main()
