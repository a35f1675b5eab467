"""Small tables of captions for tests of the stages behind captioning."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from cultureclip.captions.prompts import read_caption_prompt
from cultureclip.captions.settings import CaptionKind, CaptionRules, CaptionSettings
from cultureclip.ids import concept_id, digest, twin_id

PROMPT_FILE = Path(__file__).parents[2] / "conf/base/prompts/captions.yml"
PLAIN = CaptionKind(wanted=1, templates=("full", "full", "full", "short"))
CAPTION_SETTINGS = CaptionSettings(
    kinds={"plain": PLAIN}, max_tries=3, seed=7, max_new_tokens=6, temperature=1.0, top_p=0.9, rules=CaptionRules()
)
CAPTION_PROMPT = read_caption_prompt(yaml.safe_load(PROMPT_FILE.read_text(encoding="utf-8")), CAPTION_SETTINGS)

KIMONO, HANBOK = concept_id("kimono", ["JP"], "Clothing"), concept_id("hanbok", ["KR"], "Clothing")


def caption_table(texts: Sequence[str], verdict: str = "accepted") -> pd.DataFrame:
    """One caption a text, in turn for a kimono and for its twin, a hanbok."""
    rows = [
        {
            "caption_id": digest("caption", place, text),
            "twin_id": twin_id(KIMONO, HANBOK),
            "concept_id": (KIMONO, HANBOK)[place % 2],
            "kind": "plain",
            "language": "en",
            "text": text,
            "english": text,
            "verdict": verdict,
            "reason": None if verdict == "accepted" else "too_short",
        }
        for place, text in enumerate(texts)
    ]
    return pd.DataFrame(rows)
