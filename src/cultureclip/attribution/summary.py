"""The figures of a run: counts, missing grades by reason, the audit, and agreement with truth and people."""

from typing import Any

import pandas as pd

from cultureclip.attribution.audit import audit_grades
from cultureclip.attribution.people import compare_with_people
from cultureclip.attribution.truth import measure_grades, measure_links

WAYS = {
    "written": ("grade_generated", "why_not_generated"),
    "likeliest": ("grade_likeliest", "why_not_likeliest"),
    "expected": ("grade_expected", "why_not_likeliest"),
}
"""Ways of grading: column of the grade, and column of the reason why there is none."""


def summarise(
    attributions: pd.DataFrame, links: pd.DataFrame, queries: pd.DataFrame, ratings: pd.DataFrame, resamples: int
) -> dict[str, Any]:
    """Sum a run up.

    Args:
        attributions: Table ATTRIBUTIONS.
        links: Table LINKS.
        queries: Table QUERIES.
        ratings: People's ratings, possibly none.
        resamples: Resamples of the bootstrap over images.

    Returns:
        ``images``, ``images_unreadable``, ``images_without_text``; ``links`` against the truth; ``share_null`` and
        ``grades`` by way: ``null`` by reason, ``audit``, ``truth`` and ``people`` (null where not known).
    """
    known = queries.dropna(subset=["entity_id"])
    shown = dict(zip(known["image_id"], known["entity_id"], strict=True))
    cultures = {entity: set(names) for entity, names in zip(known["entity_id"], known["cultures"], strict=True)}
    grades: dict[str, Any] = {}
    for way, (column, why) in WAYS.items():
        missing = attributions[column].isna()
        grades[way] = {
            "null": {str(reason): int(count) for reason, count in attributions[why][missing].value_counts().items()},
            "audit": audit_grades(attributions, column),
            "truth": measure_grades(attributions, shown, cultures, column) if shown else None,
            "people": compare_with_people(attributions, ratings, column, resamples) if len(ratings) else None,
        }
    return {
        "images": len(queries),
        "images_unreadable": int(links["fault"].notna().sum()),
        "images_without_text": int((~links.groupby("image_id")["chosen"].any()).sum() - links["fault"].notna().sum()),
        "labels": int(attributions["label"].nunique()),
        "links": measure_links(links, shown) if shown else None,
        "share_null": {way: float(attributions[column].isna().mean()) for way, (column, _) in WAYS.items()},
        "grades": grades,
    }
