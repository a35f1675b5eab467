"""Price of defect 7: what the filter of a finished run keeps when some ratings and images cannot be read.

The ratings of the run's vision-language judge are taken as they are; then a share of single ratings is made unreadable,
and a share of images. Compares what the published rule keeps repaired (a missing rating fails, rows by id) and as
released (it passes as 0, unreadable images shift the rest of their batch of four). Wrongly kept is an image that the
rule refuses by the ratings as they were. Prints a table with means over draws; one JSON object at the end, for 5 % of
the ratings and 2 % of the images.

    python bench/unread_ratings.py [--project .] [--draws 200]
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from cultureclip.judging.rating import CRITERIA, refuse_by_ratings
from cultureclip.judging.released import refuse_as_released
from cultureclip.judging.settings import RatingRule

CASES = ((0.0, 0.0), (0.01, 0.0), (0.05, 0.0), (0.0, 0.02), (0.05, 0.02), (0.2, 0.1))
"""Share of ratings and of images that cannot be read."""
RULE = RatingRule()


def read_ratings(project: Path) -> pd.DataFrame:
    """Ratings of the newest run's images, in the order in which images are judged."""
    newest = max((project / "data/04_feature/judgements.parquet").glob("*/judgements.parquet"))
    table = pd.read_parquet(newest)
    rated = table[table["judge"] == "vision_language"].sort_values("image_id", ignore_index=True)
    return rated[list(CRITERIA)].astype(float)


def price(ratings: pd.DataFrame, unread: float, lost: float, rng: np.random.Generator) -> dict[str, float]:
    """One draw: shares of all images."""
    truth = refuse_by_ratings(ratings, RULE).isna().to_numpy()
    given = ratings.mask(rng.random(ratings.shape) < unread)
    unreadable = pd.Series(rng.random(len(ratings)) < lost)
    given[unreadable] = np.nan
    repaired = refuse_by_ratings(given, RULE).isna().to_numpy()
    released = refuse_as_released(given, unreadable, RULE).isna().to_numpy()
    return {
        "kept, repaired": repaired.mean(),
        "kept, released": released.mean(),
        "wrongly kept, repaired": (repaired & ~truth).mean(),
        "wrongly kept, released": (released & ~truth).mean(),
        "verdicts that differ": (repaired != released).mean(),
    }


def main() -> None:
    """Run, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    ratings = read_ratings(options.project)
    print(f"{len(ratings)} images; ratings that could not be read in the run itself: {int(ratings.isna().sum().sum())}")
    rng = np.random.default_rng(0)
    rows = {
        f"{unread:.0%} of ratings, {lost:.0%} of images": pd.DataFrame(
            [price(ratings, unread, lost, rng) for _ in range(options.draws)]
        ).mean()
        for unread, lost in CASES
    }
    table = pd.DataFrame(rows).T
    print((100 * table).round(2).to_string())
    print(
        json.dumps({name: round(float(value), 5) for name, value in table.loc["5% of ratings, 2% of images"].items()})
    )


if __name__ == "__main__":
    main()
