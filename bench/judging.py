"""Pocket's two judges: images per second at batch 1 and 64, memory, and the vision-language judge against the truth.

The truth is known: which concept a generated picture shows, its nearest look-alike, how it was damaged. Prints
confusion tables by damage and by kind, a calibration curve, and one JSON object at the end: ``vlm_per_s`` and
``clip_per_s`` at batch 64, ``kappa`` (quadratic weighted, of all three ratings with the truth), ``right_over_twin``
(share of undamaged pictures whose own name is rated above its look-alike's; a tie is not above), ``expected_over_twin``
(the same by the mean of the five digits, weighted by their probabilities).

    python bench/judging.py [--images 256] [--drawn 2] [--sheets folder]
"""

import argparse
import io
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from machine import describe_machine, peak_memory, run_alone
from matplotlib.figure import Figure
from PIL import Image

from cultureclip.concepts.atlas import read_concepts
from cultureclip.judging.rating import CRITERIA, Ratings, refuse_by_ratings
from cultureclip.judging.settings import RatingRule
from cultureclip.models.chat.open import open_chat_model
from cultureclip.models.chat.request import Picture, Request, Sampling, Turn
from cultureclip.models.encoder import load_encoder
from cultureclip.models.settings import LanguageModelSettings, ModelPath
from cultureclip.pocket.settings import PocketSettings
from cultureclip.pocket.vision_judge.measure import ask_about_truth, figures
from cultureclip.reading.csv_table import read_csv_table

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"
DIGITS = [1, 2, 3, 4, 5]


def noise(count: int) -> list[Image.Image]:
    """Pictures of pocket's size; a judge's speed does not depend on what they show."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)) for _ in range(count)]


def time_vlm(batch: int, count: int) -> float:
    """Images per second through the chat interface, pictures encoded as PNG and decoded again as in the filter."""
    settings = LanguageModelSettings(path=ModelPath(WEIGHTS / "vision_judge"), dtype="float32", batch=batch)
    model = open_chat_model(settings)
    sampling = Sampling(max_tokens=32)

    def requests(count: int) -> list[Request]:
        turns = [(Turn("user", (Picture.of(picture), "kimono from Japan")),) for picture in noise(count)]
        return [Request(turns=turn, sampling=sampling, seed=0, schema=Ratings) for turn in turns]

    model.load()
    list(model.stream(requests(batch)))
    start = time.perf_counter()
    done = sum(len(answers) for answers in model.stream(requests(count)))
    assert done == count
    return count / (time.perf_counter() - start)


def time_clip(batch: int, count: int) -> float:
    """Images per second of the image-text judge."""
    encoder = load_encoder(WEIGHTS / "judge")
    encoder.encode_images(noise(batch), batch=batch)
    start = time.perf_counter()
    encoder.encode_images(noise(count), batch=batch)
    return count / (time.perf_counter() - start)


def read_settings() -> tuple[pd.DataFrame, PocketSettings]:
    """The atlas's drawn concepts, and the settings of the shipped models."""
    text = (ROOT / "conf/base/parameters_pocket.yml").read_text(encoding="utf-8")
    parameters = yaml.safe_load(text.replace("${globals:data}", str(ROOT / "data")))["pocket"]
    concepts = read_concepts(read_csv_table((ROOT / "data/01_raw/atlas.csv").read_text(encoding="utf-8")))
    drawn = concepts[concepts["reference_image"].str.startswith("emoji:", na=False)]
    return drawn, PocketSettings(**parameters | {"weights": str(WEIGHTS)})


def confusion(answers: pd.DataFrame, criterion: str) -> str:
    """True ratings by given ones."""
    table = pd.crosstab(answers[f"{criterion}_truth"], answers[criterion].fillna(0).astype(int))
    return table.reindex(index=DIGITS, columns=[*DIGITS, *({0} & set(table.columns))], fill_value=0).to_string()


def calibration(answers: pd.DataFrame) -> str:
    """Mean of the true three ratings, and share of good images, by the mean of the given ones."""
    given = answers[list(CRITERIA)].mean(axis=1).round(1)
    true = answers[[f"{name}_truth" for name in CRITERIA]].mean(axis=1)
    by_mean = pd.DataFrame({"given": given, "true": true, "good": is_good(answers, "_truth")})
    return by_mean.groupby("given").agg(n=("true", "size"), true=("true", "mean"), good=("good", "mean")).to_string()


def is_good(answers: pd.DataFrame, suffix: str = "") -> pd.Series:
    """Tell whether the published rule accepts an image by these ratings."""
    ratings = answers[[name + suffix for name in CRITERIA]].set_axis(list(CRITERIA), axis=1)
    return refuse_by_ratings(ratings, RatingRule()).isna()


def report(answers: pd.DataFrame) -> None:
    """Print what is not in the last line."""
    real = answers[answers["asked"] != "shuffled"]
    for criterion in CRITERIA:
        print(f"\n{criterion}: true rating (rows) by given rating (columns)\n{confusion(real, criterion)}")
    print(f"\ncalibration: the mean of the given ratings against the truth\n{calibration(real)}")
    kept = pd.DataFrame({"kept": is_good(real), "good": is_good(real, "_truth")})
    for name in ("damage", "kind"):
        table = kept.groupby(real[name]).apply(
            lambda rows: pd.Series(
                {
                    "n": len(rows),
                    "wrongly kept": int((rows["kept"] & ~rows["good"]).sum()),
                    "wrongly refused": int((~rows["kept"] & rows["good"]).sum()),
                }
            )
        )
        print(f"\nby {name}\n{table.sort_values('n', ascending=False).head(12).to_string()}")


def draw_sheets(answers: pd.DataFrame, folder: Path) -> None:
    """Draw ten pictures each that the judge wrongly kept and wrongly refused, with question, ratings and truth."""
    real = answers[answers["asked"] != "shuffled"]
    kept, good = is_good(real), is_good(real, "_truth")
    folder.mkdir(parents=True, exist_ok=True)
    for name, wrong in (("wrongly-kept", kept & ~good), ("wrongly-refused", ~kept & good)):
        rows = real[wrong].sample(min(10, int(wrong.sum())), random_state=0)
        figure = Figure(figsize=(12, 5.5), layout="constrained")
        for place, (_, row) in enumerate(rows.iterrows()):
            axes = figure.add_subplot(2, 5, place + 1)
            axes.imshow(Image.open(io.BytesIO(row["png"])))
            axes.axis("off")
            given = ", ".join(f"{row[c]:.0f}" for c in CRITERIA)
            true = ", ".join(str(row[f"{c}_truth"]) for c in CRITERIA)
            lines = [f"shown: {row['name']}", f"asked: {row['question']}", f"{row['damage']} {row['grade'] or ''}"]
            axes.set_title("\n".join([*(line[:34] for line in lines), f"given {given}; true {true}"]), fontsize=7)
        figure.savefig(folder / f"{name}.png", dpi=110)


def main() -> None:
    """Run, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--drawn", type=int, default=2, help="pictures of each concept in the measurement")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of what it judged wrongly")
    parser.add_argument("--alone", choices=("vlm", "clip"), help="time one judge only")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    if options.alone:
        work = time_vlm if options.alone == "vlm" else time_clip
        rate = work(options.batch, options.images)
        print(json.dumps({"per_s": rate, "peak_gb": peak_memory() / 1e9}))
        return
    print(describe_machine())
    rates: dict[str, Any] = {}
    for judge in ("vlm", "clip"):
        for batch in (1, 64):
            count = max(batch, options.images // (4 if batch == 1 else 1))
            rates[f"{judge}_{batch}"] = run_alone(__file__, alone=judge, batch=batch, images=count)
            print(f"{judge}, batch {batch}: {rates[f'{judge}_{batch}']}")
    concepts, settings = read_settings()
    with tempfile.TemporaryDirectory() as state:
        answers = ask_about_truth(
            concepts, settings.model_copy(update={"measured_images": options.drawn, "state": state})
        )
    report(answers)
    if options.sheets:
        draw_sheets(answers, options.sheets)
    found = figures(answers)
    print(json.dumps(found, indent=1))
    last = {
        "vlm_per_s": rates["vlm_64"]["per_s"],
        "clip_per_s": rates["clip_64"]["per_s"],
        "vlm_peak_gb": rates["vlm_64"]["peak_gb"],
        "clip_peak_gb": rates["clip_64"]["peak_gb"],
        "kappa": found["kappa"]["all"]["together"],
        "right_over_twin": found["right_over_twin"]["all"]["value"],
        "expected_over_twin": found["expected_over_twin"]["all"]["value"],
    }
    print(json.dumps(last))


if __name__ == "__main__":
    main()
