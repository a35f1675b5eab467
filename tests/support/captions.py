"""Small tables of captions for tests of the stages behind captioning."""

from collections.abc import Sequence

import pandas as pd

from cultureclip.ids import concept_id, digest, twin_id

KIMONO, HANBOK = concept_id("kimono", ["JP"], "Clothing"), concept_id("hanbok", ["KR"], "Clothing")


def caption_table(texts: Sequence[str], verdict: str = "accepted") -> pd.DataFrame:
    """One caption a text, in turn for a kimono and for its twin, a hanbok."""
    rows = [
        {
            "caption_id": digest("caption", place, text),
            "twin_id": twin_id(KIMONO, HANBOK),
            "concept_id": (KIMONO, HANBOK)[place % 2],
            "text": text,
            "verdict": verdict,
            "reason": None if verdict == "accepted" else "too_short",
        }
        for place, text in enumerate(texts)
    ]
    return pd.DataFrame(rows)
