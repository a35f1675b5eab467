"""Rows with their images as parquet parts that ``datasets.load_dataset`` opens, with typed features."""

import io
import json
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cultureclip.tables import SIDES

_TEXT = {"dtype": "string", "_type": "Value"}
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SIDE = ("concept", "concept_id", "cultures", "caption", "caption_id", "image_id", "source")
COLUMNS = ("row_id", "twin_id", "category", *(f"{side}_{field}" for side in SIDES for field in _SIDE), "licence")
"""Columns of text; beside them ``pos_image`` and ``neg_image``."""
_FEATURES = dict.fromkeys(COLUMNS, _TEXT) | {f"{side}_image": {"_type": "Image"} for side in SIDES}
SCHEMA = pa.schema(
    [(name, pa.string()) for name in COLUMNS] + [(f"{side}_image", _IMAGE) for side in SIDES],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def encode_part(rows: pd.DataFrame, pngs: Mapping[str, bytes]) -> bytes:
    """Encode rows with their images as one parquet file.

    Args:
        rows: From :func:`cultureclip.exchange.rows.divide_rows`.
        pngs: Image id -> PNG, of all images of the rows.
    """
    columns: dict[str, list[object]] = {name: rows[name].astype(object).tolist() for name in COLUMNS}
    for side in SIDES:
        ids = rows[f"{side}_image_id"]
        columns[f"{side}_image"] = [{"bytes": pngs[image], "path": f"{image}.png"} for image in ids]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=SCHEMA), buffer, row_group_size=100)
    return buffer.getvalue()
