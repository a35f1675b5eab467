"""Hard negatives as a benchmark: does the held-out picture of a thing go with its own name, or with the look-alike's?

Both texts name the right culture, so the culture's name alone answers nothing.
"""

from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from PIL import Image

from cultureclip.benchmarks.references import References, read_references

CULTURE_RELATED = pa.DataFrameSchema(
    {
        "image": pa.Column(object),  # {"bytes": PNG, "path": None}, as the Hugging Face Hub writes pictures
        "caption": pa.Column(str),
        "negative_caption": pa.Column(str),
        "subset": pa.Column(str),  # category
    },
    strict=True,
)
"""One row per concept with a picture and hard negative of it; columns of the protocol ``sugarcrepe``."""


def pose_questions(instances: pd.DataFrame, concepts: pd.DataFrame, statement: str, edge: int) -> pd.DataFrame:
    """Write the benchmark's rows.

    Args:
        instances: Table CULTURE_INSTANCES.
        concepts: Table CONCEPTS.
        statement: Text of a hard negative, with ``{name}`` and ``{country}``; the right text has the same words.
        edge: Edge of drawings in pixels; picture files keep their size.

    Returns:
        Table CULTURE_RELATED, in the order of the concepts' ids.

    Raises:
        SourceDataError: if a picture cannot be read.
    """
    pictures = read_references(concepts, edge)
    known = {str(row["concept_id"]): row for row in concepts.to_dict("records")}
    asked = instances.dropna(subset=["hard_negative"]).drop_duplicates(["concept_id", "hard_negative"])
    rows: list[dict[str, Any]] = []
    for concept, country, wrong in (
        asked[["concept_id", "country", "hard_negative"]].sort_values(["concept_id", "hard_negative"]).to_numpy()
    ):
        if concept in pictures:
            right = statement.replace("{name}", known[concept]["name"]).replace("{country}", country)
            texts = {"caption": right, "negative_caption": wrong, "subset": known[concept]["category"]}
            rows.append({"image": {"bytes": _png(pictures, concept), "path": None}} | texts)
    table = pd.DataFrame(rows, columns=list(CULTURE_RELATED.columns))
    return table.astype(dict.fromkeys(("caption", "negative_caption", "subset"), "str") | {"image": object})


def _png(pictures: References, concept: str) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.asarray(pictures[concept])).save(buffer, "PNG")
    return buffer.getvalue()
