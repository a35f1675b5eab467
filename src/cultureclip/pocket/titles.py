"""The names of all emoji as a sample of titles: those whose drawing is in the atlas are cultural concepts."""

import pandas as pd

from cultureclip.pictures.emoji import EMOJI, list_emoji


def list_titles(concepts: pd.DataFrame) -> pd.DataFrame:
    """Return ``data/01_raw/titles.csv``: every emoji's name, and whether the atlas has a drawing of its family.

    Args:
        concepts: Rows of the concepts table that have ``reference_image`` and ``category``.
    """
    drawn = concepts[concepts["reference_image"].str.startswith(f"{EMOJI.name}:", na=False)]
    chars = drawn["reference_image"].str.removeprefix(f"{EMOJI.name}:")
    category_of = dict(zip(chars, drawn["category"], strict=True))
    category_of_family = {e.family: category_of[e.char] for e in list_emoji() if e.char in category_of}
    return pd.DataFrame(
        [
            {
                "title": e.name,
                "truth": "yes" if e.family in category_of_family else "no",
                "category": category_of_family.get(e.family, ""),
                "group": e.family,
                "subset": "flag" if e.is_flag else "object",
            }
            for e in list_emoji()
        ]
    )
