"""Rated images: what a table may look like, and correlations against known values."""

import io

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import pearsonr, spearmanr

from cultureclip.attribution.people import compare_with_people, correlate, share_strong
from cultureclip.attribution.settings import ImageSettings, RatedSettings
from cultureclip.benchmarks.culture_ratings import read_rated
from cultureclip.errors import ConfigurationError, SourceDataError
from tests.attribution.conftest import noise


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise(seed).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def parquet(tmp_path):
    """Two images, as the Hugging Face libraries store them, rated for two cultures by several people."""
    rows = [(1, "Japan", 5.0), (1, "Japan", 4.0), (1, "India", 1.0), (2, "Japan", 2.0), (2, "India", None)]
    table = pd.DataFrame(
        {
            "photo": [{"bytes": png(seed), "path": f"{seed}.png"} for seed, _, _ in rows],
            "country": [country for _, country, _ in rows],
            "score": [score for _, _, score in rows],
        }
    )
    (tmp_path / "rated").mkdir()
    table.to_parquet(tmp_path / "rated/test-00000.parquet")
    return RatedSettings(
        path=str(tmp_path / "rated"),
        format={"type": "parquet"},
        columns={"image": "photo", "label": "country", "rating": "score"},
    )


def test_a_table_with_columns_of_its_own_is_read(parquet):
    rated = read_rated(parquet)
    assert len(rated.images.ids) == 2
    first, second = rated.images.ids
    table = rated.ratings.set_index(["image_id", "label"])
    assert table.loc[(first, "Japan")].tolist() == [4.5, 2]
    assert table.loc[(first, "India")].tolist() == [1, 1]
    assert table.loc[(second, "Japan")].tolist() == [2, 1]
    assert rated.left_out == {"no rating": 1}
    assert rated.images.read([second])[0].getpixel((3, 3)) == noise(2).getpixel((3, 3))


def test_a_csv_names_its_pictures(tmp_path):
    for seed in (1, 2):
        noise(seed).save(tmp_path / f"{seed}.png")
    rows = "image,label,rating\n1.png,Japan,4\n2.png,Japan,often\n2.png,,3\n2.png,India,2.5\n1.png,India,\n"
    (tmp_path / "mine.csv").write_text(rows, encoding="utf-8")
    rated = read_rated(RatedSettings(path=str(tmp_path / "mine.csv"), format={"type": "csv"}))
    assert rated.ratings[["label", "rating"]].to_numpy().tolist() == [["Japan", 4], ["India", 2.5]]
    assert sum(rated.left_out.values()) == 3
    assert rated.left_out["no label"] == 1


def test_what_is_no_rated_table_is_refused(parquet, tmp_path):
    with pytest.raises(SourceDataError, match="no file of this format"):
        read_rated(parquet.model_copy(update={"path": str(tmp_path / "nothing")}))
    with pytest.raises(SourceDataError, match="no column 'stars'"):
        read_rated(parquet.model_copy(update={"columns": parquet.columns | {"rating": "stars"}}))
    with pytest.raises(ConfigurationError, match="give a type"):
        read_rated(parquet.model_copy(update={"format": {"type": "xlsx"}}))
    with pytest.raises(SourceDataError, match=r"none of 5 rows can be used .5 with no image"):
        read_rated(parquet.model_copy(update={"columns": {}}))
    with pytest.raises(ValidationError, match="two sources"):
        ImageSettings(folder="x", rated=parquet)


def test_grades_are_joined_by_image_and_label():
    ratings = pd.DataFrame(
        [
            ("a", "Japan", 5.0),
            ("a", "India", 1.0),
            ("b", "Japan", 2.0),
            ("b", "Peru", 4.0),
            ("c", "India", 3.0),
            ("d", "India", 3.0),
        ],
        columns=["image_id", "label", "rating"],
    )
    rows = [("b", "India", 1), ("b", "Japan", 2), ("a", "India", 1), ("a", "Japan", 4), ("c", "India", None)]
    graded = pd.DataFrame(rows, columns=["image_id", "label", "grade"]).astype({"grade": "Int64"})
    found = compare_with_people(graded, ratings, "grade", 200)
    assert (found["pairs"], found["images"], found["not_asked"], found["grades_missing"]) == (3, 2, 2, 1)
    assert found["pearson"]["value"] == pytest.approx(pearsonr([4, 1, 2], [5, 1, 2]).statistic)
    assert found["spearman"]["value"] == pytest.approx(1)


def test_the_share_of_strong_pairs_is_corrected_by_people():
    """The judge calls every second pair strong; people find half of these and a tenth of the others strong."""
    pairs = pd.DataFrame([(f"i{i:03}", label) for i in range(200) for label in "abcd"], columns=["image_id", "label"])
    strong = np.arange(len(pairs)) % 2 == 0
    graded = pairs.assign(grade=np.where(strong, 5, 2)).astype({"grade": "Int64"})
    graded.loc[7, "grade"] = pd.NA
    rng = np.random.default_rng(0)
    places = rng.choice(len(pairs), 300, replace=False)
    ratings = pairs.iloc[places].assign(rating=np.where(rng.random(300) < np.where(strong[places], 0.5, 0.1), 4.5, 3.9))
    ratings.loc[len(pairs)] = ["not graded", "a", 5.0]
    found = share_strong(graded, ratings, "grade")
    seen = graded.merge(ratings, on=["image_id", "label"]).dropna()
    by_people = (seen["rating"] >= 4).groupby(seen["grade"] >= 4).mean()
    assert found["images"] == 799
    assert found["rated"] == len(seen)
    assert found["judge"]["value"] == pytest.approx(400 / 799)
    assert found["corrected"]["value"] == pytest.approx((400 * by_people[True] + 399 * by_people[False]) / 799)
    assert found["corrected"]["low"] < 0.3 < found["corrected"]["high"] < found["judge"]["low"]
    assert share_strong(graded, ratings.tail(1), "grade") is None


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_the_interval_is_of_images_not_of_pairs(kind):
    """Twenty copies of each image's pair tell no more than one: a bootstrap over pairs would claim they do."""
    rng = np.random.default_rng(3)
    first = rng.normal(size=30)
    second = 0.6 * first + rng.normal(size=30)
    images = np.arange(30)
    once = correlate(first, second, images, kind, 2000)
    often = correlate(np.repeat(first, 20), np.repeat(second, 20), np.repeat(images, 20), kind, 2000)
    plain = (pearsonr if kind == "pearson" else spearmanr)(first, second).statistic
    assert once["value"] == pytest.approx(plain)
    assert often["value"] == pytest.approx(plain, abs=1e-9)
    assert (often["low"], often["high"]) == pytest.approx((once["low"], once["high"]), abs=0.01)
    assert once["low"] < plain < once["high"]


def test_the_interval_agrees_with_fishers_for_independent_pairs():
    rng = np.random.default_rng(0)
    first = rng.normal(size=400)
    second = first + rng.normal(size=400)
    found = correlate(first, second, np.arange(400), "pearson", 2000)
    theory = pearsonr(first, second).confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((theory.low, theory.high), abs=0.02)


@pytest.mark.parametrize("first", [[], [1.0], [2.0, 2.0, 2.0]])
def test_what_does_not_vary_has_no_correlation(first):
    values = np.array(first)
    assert correlate(values, np.arange(len(values)), np.arange(len(values)), "pearson", 100)["value"] is None


def test_one_image_has_no_interval():
    found = correlate(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), np.zeros(3), "pearson", 100)
    assert found["value"] == pytest.approx(0.5)
    assert found["low"] is None
