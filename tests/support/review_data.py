"""Pairs for a review: concepts with drawings, twins with evidence, captions."""

import json

import pandas as pd
from kedro.io import DataCatalog, MemoryDataset

from cultureclip.datasets.review_dataset import ReviewDataset
from cultureclip.ids import concept_id, twin_id
from cultureclip.review.settings import ReviewSettings

SETTINGS = ReviewSettings(
    port=0,
    twins=100,
    refused=100,
    seed=1,
    picture_size=48,
    pictures=2,
    captions=2,
    resamples=200,
    target_error=0.2,
    confidence=0.9,
)
EMOJI = ("👘", "🥻", "🎎", "🪆")
HOSTILE = "<script>alert(1)</script>"


def make_concepts(count: int, context: str = "It is worn.") -> pd.DataFrame:
    rows = []
    for i in range(count):
        cultures = [("JP", "KR", "CN", "MX")[i % 4]]
        rows.append(
            {
                "concept_id": concept_id(f"thing {i}", cultures, "Art"),
                "name": f"thing {i}",
                "cultures": cultures,
                "universal": "dress",
                "category": "Art",
                "context": context,
                "key_visual_features": [f"mark {i}", "round"],
                "reference_image": f"emoji:{EMOJI[i % 4]}",
            }
        )
    return pd.DataFrame(rows)


def make_twins(concepts: pd.DataFrame, refused: int = 0) -> pd.DataFrame:
    """Neighbouring rows are a twin; the last ``refused`` of them are not alike enough."""
    rows = concepts.to_dict("records")
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    table = []
    for place, (a, b) in enumerate(pairs):
        is_refused = place >= len(pairs) - refused
        look = {"features": ["round"], "above_random_pairs": round(1 - place / 100, 4)}
        evidence = {"shared_look": look, "differing_features": {"a": [f"mark {2 * place}"], "b": ["other"]}}
        other = {"concept_id": a["concept_id"], "name": "near", "visual_similarity": 0.5, "reason": "same culture"}
        table.append(
            {
                "twin_id": twin_id(a["concept_id"], b["concept_id"]),
                **{f"{side}_concept_id": row["concept_id"] for side, row in (("a", a), ("b", b))},
                **{f"{side}_name": row["name"] for side, row in (("a", a), ("b", b))},
                "category": "Art",
                "visual_similarity": 0.99 - place / 100,
                "cultural_overlap": 0.1,
                "score": 0.9 - place / 100,
                "method": "two_axis",
                "evidence": json.dumps(evidence | {"rejected_candidates": {"a": [other], "b": []}}),
                "split": None if is_refused else "train",
                "verdict": "rejected" if is_refused else "accepted",
                "reason": "not alike enough" if is_refused else None,
                "review": None,
            }
        )
    return pd.DataFrame(table)


def make_catalog(file: str, concepts: pd.DataFrame, twins: pd.DataFrame, **others: pd.DataFrame) -> DataCatalog:
    tables = {"concepts": concepts, "twins": twins, **others}
    later = {"captions", "image_requests", "judgements", "images"} - others.keys()
    catalog = DataCatalog({name: MemoryDataset(table) for name, table in tables.items()})
    for name in later:
        catalog[name] = MemoryDataset()
    catalog["twin_reviews"] = ReviewDataset(filepath=file)
    return catalog


def make_reviews(twins: pd.DataFrame, said: dict[str, list[str | None]]) -> pd.DataFrame:
    """Reviewer -> decisions about the first twins."""
    rows = [
        {
            **{name: twin[name] for name in ("twin_id", "a_concept_id", "b_concept_id")},
            "reviewer": reviewer,
            "decision": decision,
            "comment": "",
            "decided_at": f"2026-01-01T00:00:{place:02}+00:00",
        }
        for reviewer, decisions in said.items()
        for place, (decision, twin) in enumerate(
            zip(decisions, twins.to_dict("records")[: len(decisions)], strict=True)
        )
    ]
    return pd.DataFrame(rows)
