"""The published row format: image paths, captions and concepts of both sides, over image files."""

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cultureclip.tables import SIDES


def image_path(image_id: str) -> str:
    """Return the path of an image below the dataset's folder: 256 folders, so that none holds too many files."""
    return f"images/{image_id[:2]}/{image_id}.png"


def encode_rows(rows: pd.DataFrame) -> bytes:
    """Encode rows as parquet with the columns ``pos_`` and ``neg_`` x ``image_path``, ``caption``, ``concept``.

    The hub reads all files of a dataset by one reader, so these are parquet as the others are.
    """
    columns = {
        f"{side}_{field}": values.astype(object).tolist()
        for side in SIDES
        for field, values in (
            ("image_path", rows[f"{side}_image_id"].map(image_path)),
            ("caption", rows[f"{side}_caption"]),
            ("concept", rows[f"{side}_concept"]),
        )
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
