"""What would help with concepts that were never tuned on: other prompts, other training texts, other negatives.

    nice -n 19 python bench/never_tuned_on.py [--seeds 1 2 3] [--work data/never_tuned_on]

Takes the data of the last run, leaves half of the clusters of twins out of its training rows, changes the others in one
way at a time, trains the proposed objective on them with the run's settings and asks twin scores with several texts.
Measured is the group score on the twins that were left out, on the others, and, of the run's own models, which were
tuned on all rows, on those that it never tuned on. docs/never-tuned-on.md has the hypotheses, which were written before
any run, and the results. Trainings are kept, so the script can be stopped and started again. Prints tables, one test
per hypothesis with Holm's correction and, as its last line, one JSON object.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from last_run import ROOT, LastRun
from machine import describe_machine
from never_tuned_rows import TRAININGS, names_of

from cultureclip.benchmarks.concept_texts import NAME_ALONE, describe_concept
from cultureclip.benchmarks.embedding.embeddings import embed_benchmarks
from cultureclip.benchmarks.embedding.settings import EmbeddingSettings
from cultureclip.benchmarks.pocket import TWIN_SCORES, collect_pocket
from cultureclip.graphs import connect
from cultureclip.ids import digest
from cultureclip.scoring.significance import correct_holm
from cultureclip.statistics import ClusteredItems

METRICS, FLIPS = ("text", "image", "group"), 5000
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
TODAY, NAME, CHOSEN = "today", "name", "the prompt chosen for a"
LINES = {
    "a": [(TODAY, title) for title, template in PROMPTS.items() if "{name}" in template and title != NAME],
    "b": [("captions without names", NAME)],
    "c": [("definitions", NAME), ("definitions", CHOSEN)],
    "d": [("half of the concepts", NAME)],
    "e": [("random negatives", NAME)],
}
"""Hypothesis -> (training, prompt) that it may be tested with. Of several the best on dev is tested, on test alone."""


class Demo(LastRun):
    """The last run and the questions about its twins."""

    def __init__(self, work: Path) -> None:
        super().__init__(work)
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
        concepts, twins = self.tables["concepts"], self.tables["twins"]
        accepted = twins[twins["verdict"] == "accepted"]
        asked = concepts[concepts["concept_id"].isin({*accepted["a_concept_id"], *accepted["b_concept_id"]})]
        id_of = {describe_concept(row, NAME_ALONE): row["concept_id"] for row in asked.to_dict("records")}
        if len(id_of) < len(asked):
            raise SystemExit("two concepts of accepted twins have one name: texts do not tell them apart")
        found = []
        for twin in self.asked[NAME].twins:
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
        """Train, or find what was trained on these rows, and return the merged model's folder."""
        return self.train(self.rows_of(name), self.settings, name, seed)

    def describe_rows(self, name: str) -> str:
        """Say how many rows, twins and concepts a training has, and how many of its captions name what was left out."""
        rows, concepts = self.rows_of(name), self.tables["concepts"]
        train = rows[rows["split"] == "train"]
        out = [names_of(row) for row in concepts[concepts["concept_id"].isin(self.left_out)].to_dict("records")]
        captions = [*train["pos_caption"], *train["neg_caption"]]
        told = sum(any(names.search(caption) for names in out) for caption in captions)
        shown = {*train["pos_concept_id"], *train["neg_concept_id"]}
        counts = f"{len(train)} rows of {train['twin_id'].nunique()} twins and {len(shown)} concepts"
        return f"{name}: {counts}; {told} of {len(captions)} captions have a name that was left out"

    def answer(self, place: str | Path) -> dict[str, np.ndarray]:
        """Return prompt -> group credit of every item."""
        credits = {}
        for title, benchmark in self.asked.items():
            embeddings = embed_benchmarks(place, [benchmark], self.work / "embeddings", EmbeddingSettings(batch=64))
            group = [p.correct for p in benchmark.answer(embeddings)][METRICS.index("group") :: len(METRICS)]
            by_images = dict(zip((twin.images for twin in benchmark.twins), group, strict=True))
            credits[title] = np.array([by_images[images] for images in self.items.index])
        return credits


Credits = Mapping[str, Mapping[str, np.ndarray]]
"""Training -> prompt -> credit, [seeds, items]."""


def compare(items: pd.DataFrame, values: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Return a score, its difference to a reference, the interval, the sign-flip p-value and the seeds' range.

    Args:
        items: The items, with their clusters.
        values: Credits, [seeds, items].
        reference: Those of the reference, with as many seeds or one.
    """
    sample, own, other = ClusteredItems(items["cluster"].to_numpy()), values.mean(0), reference.mean(0)
    score, found = sample.estimate_mean(own), sample.estimate_difference(own, other)
    p_value = sample.test_difference(own, other, sample.draw_signs(FLIPS, 0))
    of_seeds = (values - reference).mean(1)
    ends = {"score": score.value, "score_low": score.low, "score_high": score.high}
    ends |= {"difference": found.value, "low": found.low, "high": found.high, "detectable": found.detectable}
    ends |= {"least_seed": float(of_seeds.min()), "most_seed": float(of_seeds.max())}
    return ends | {"p": p_value, "n": len(items), "clusters": sample.count}


def report(demo: Demo, credits: Credits, parts: Sequence[str], of: str, today: str) -> list[dict[str, Any]]:
    """Compare trainings and prompts with one training and the name alone, and with the base at the same prompt.

    Args:
        demo: The items.
        credits: The credits of all items.
        parts: ``dev``, ``test`` or both.
        of: Column of the items that are compared.
        today: The training that the others are compared with.
    """
    chosen = (demo.items["part"].isin(parts) & demo.items[of]).to_numpy()
    items, rows = demo.items[chosen], []
    if items["cluster"].nunique() < 2:
        return []
    reference = credits[today][NAME][:, chosen]
    for name, of_prompt in credits.items():
        for prompt, values in of_prompt.items():
            row = {"part": "+".join(parts), "of": of, "training": name, "prompt": prompt}
            to_base = compare(items, values[:, chosen], credits["base"][prompt][:, chosen])
            over = {f"base_{key}": to_base[key] for key in ("difference", "low", "high")}
            rows.append(row | compare(items, values[:, chosen], reference) | over)
    return rows


def test_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Test each hypothesis once on what was left out, with Holm's correction over those that there are figures of.

    A hypothesis with one setting is tested on both parts, one with several by its best on dev, on test.
    """
    found = {(r["part"], r["training"], r["prompt"]): r for r in rows if r["of"] == "left_out"}
    tested, prompt_of_a = {}, NAME
    for line, settings in LINES.items():
        known = [(t, prompt_of_a if prompt == CHOSEN else prompt) for t, prompt in settings]
        known = [setting for setting in known if ("dev", *setting) in found]
        if not known:
            continue
        best = max(known, key=lambda setting: found["dev", *setting]["score"])
        prompt_of_a = best[1] if line == "a" else prompt_of_a
        tested[line] = found["test" if len(settings) > 1 else "dev+test", *best]
    corrected = correct_holm(np.array([row["p"] for row in tested.values()]))
    for (line, row), p_holm in zip(tested.items(), corrected, strict=True):
        yield {"line": line, **row, "p_holm": float(p_holm)}


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one block of figures, in points."""
    if rows:
        print("\n{part}, {of}: n = {n} twins in {clusters} clusters".format_map(rows[0]))
        print("| training | prompt | group | to today, name | seeds | to the base, same prompt | p |")
        print("|---|---|---|---|---|---|---|")
    for row in rows:
        ends = [100 * row[key] for key in ("score", "difference", "low", "high", "least_seed", "most_seed")]
        base = [100 * row[f"base_{key}"] for key in ("difference", "low", "high")]
        line = "| {} | {} | {:.1f} | {:+.1f} ({:+.1f} to {:+.1f}) | {:+.1f} to {:+.1f}"
        line = line.format(row["training"], row["prompt"], *ends)
        print(line + " | {:+.1f} ({:+.1f} to {:+.1f}) | {:.3f} |".format(*base, row["p"]))


def show_lines(lines: Sequence[Mapping[str, Any]]) -> None:
    """Print one test per hypothesis."""
    print("\n| | training | prompt | part | n | clusters | to today, name | p | p, Holm |\n" + "|---" * 9 + "|")
    for row in lines:
        ends = [100 * row[key] for key in ("difference", "low", "high")]
        cells = [row[key] for key in ("line", "training", "prompt", "part", "n", "clusters")]
        print("| {} | {} | {} | {} | {} | {}".format(*cells), end=" | ")
        print("{:+.1f} ({:+.1f} to {:+.1f}) | {:.3f} | {:.3f} |".format(*ends, row["p"], row["p_holm"]))


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
    print("\n".join(demo.describe_rows(name) for name in names), flush=True)
    models = {(name, seed): demo.model(name, seed) for seed in options.seeds for name in names}
    credits = {"base": {prompt: values[None] for prompt, values in demo.answer(demo.evaluation.base_model).items()}}
    for name in names:
        answers = [demo.answer(models[name, seed]) for seed in options.seeds]
        credits[name] = {prompt: np.stack([a[prompt] for a in answers]) for prompt in PROMPTS}
    own = {name: credits[name] for name in ("base", OWN) if name in credits}
    changed = {name: values for name, values in credits.items() if name != OWN}
    rows = []
    for parts in (("dev",), ("test",), ("dev", "test")):
        blocks = [report(demo, changed, parts, of, TODAY) for of in ("left_out", "tuned_on") if TODAY in names]
        blocks += [report(demo, own, parts, of, OWN) for of in ("never", "both") if OWN in own]
        for block in blocks:
            show(block)
            rows += block
    lines = list(test_lines(rows))
    show_lines(lines)
    print(json.dumps({"seeds": options.seeds, "lines": lines, "rows": rows}))


if __name__ == "__main__":
    main()
