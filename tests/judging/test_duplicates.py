import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cultureclip.judging import duplicates
from cultureclip.judging.duplicates import find_duplicates, look_of


def stripes(*colours: tuple[int, int, int], size: int = 48) -> Image.Image:
    pixels = np.zeros((size, size, 3), np.uint8)
    for i, colour in enumerate(colours):
        pixels[:, i * size // len(colours) : (i + 1) * size // len(colours)] = colour
    return Image.fromarray(pixels)


def table(pictures: list[Image.Image], concept_ids: list[str]) -> pd.DataFrame:
    ids = [f"{i:020x}" for i in range(len(pictures))]
    looks = pd.DataFrame([look_of(p) for p in pictures])
    return looks.assign(image_id=ids, concept_id=concept_ids)


def listed(found: pd.Series) -> list[str | None]:
    return [None if pd.isna(cell) else cell for cell in found]


def test_the_same_picture_is_a_duplicate_of_the_earlier_id():
    looks = table([stripes((255, 0, 0), (0, 0, 255))] * 3, ["c"] * 3)
    assert listed(find_duplicates(looks, 0, 0)) == [None, looks["image_id"][0], looks["image_id"][0]]
    backwards = looks.iloc[::-1]
    assert listed(find_duplicates(backwards, 0, 0).sort_index()) == listed(find_duplicates(looks, 0, 0))


def test_another_concept_shares_no_duplicates():
    looks = table([stripes((0, 38, 100), (254, 203, 0), (198, 12, 48))] * 2, ["chad", "romania"])
    assert find_duplicates(looks, 64, 255).isna().all()


def test_equal_shapes_in_other_colours_are_no_duplicates():
    red, blue = stripes((200, 0, 0), (255, 255, 255)), stripes((0, 0, 200), (255, 255, 255))
    assert look_of(red)["phash"] == look_of(blue)["phash"], "the hash alone must be blind here, or this tests nothing"
    assert find_duplicates(table([red, blue], ["c", "c"]), 4, 10).isna().all()


def test_a_chain_of_small_changes_does_not_collapse():
    chain = [stripes((level, level, level), (255, 255, 255)) for level in (0, 8, 16)]
    looks = table(chain, ["c"] * 3)
    found = find_duplicates(looks, 64, 6)
    assert listed(found) == [None, looks["image_id"][0], None]


def naive(looks: pd.DataFrame, max_hamming: int, max_colour: float) -> dict[str, str | None]:
    kept: list[pd.Series] = []
    found: dict[str, str | None] = {}
    for _, row in looks.sort_values("image_id").iterrows():
        found[row["image_id"]] = None
        for other in kept:
            bits = bin(int(row["phash"], 16) ^ int(other["phash"], 16)).count("1")
            a, b = (np.array(list(bytes.fromhex(r["colour"])), float) for r in (row, other))
            same = other["concept_id"] == row["concept_id"] and bits <= max_hamming
            if same and np.sqrt(np.mean((a - b) ** 2)) <= max_colour:
                found[row["image_id"]] = other["image_id"]
                break
        else:
            kept.append(row)
    return found


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 7), st.integers(0, 5)), max_size=15),
    max_hamming=st.integers(0, 3),
    max_colour=st.sampled_from([0.0, 1.0, 2.5]),
    at_once=st.sampled_from([1, 20, 1 << 20]),
)
def test_it_equals_the_naive_search(rows, max_hamming, max_colour, at_once):
    """Also when concepts are compared together, and when one is compared in blocks of rows."""
    looks = pd.DataFrame(
        [
            {"image_id": f"{i:020x}", "concept_id": c, "phash": f"{h:016x}", "colour": bytes([v] * 48).hex()}
            for i, (c, h, v) in enumerate(rows)
        ],
        columns=["image_id", "concept_id", "phash", "colour"],
    ).sample(frac=1, random_state=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_PAIRS_AT_ONCE", at_once)
        found = find_duplicates(looks, max_hamming, max_colour)
    assert dict(zip(looks["image_id"], listed(found), strict=True)) == naive(looks, max_hamming, max_colour)
