"""Rows as tar shards in WebDataset's form: ``<row>.pos.png``, ``<row>.neg.png`` and ``<row>.json``."""

import io
import json
import tarfile
from collections.abc import Mapping

import pandas as pd

from cultureclip.exchange.parquet import COLUMNS
from cultureclip.tables import SIDES


def encode_shard(rows: pd.DataFrame, pngs: Mapping[str, bytes]) -> bytes:
    """Encode rows as one tar file: the same rows give the same bytes.

    Args:
        rows: From :func:`cultureclip.exchange.rows.divide_rows`.
        pngs: Image id -> PNG, of all images of the rows.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for row in rows.to_dict("records"):
            facts = json.dumps({name: row[name] for name in COLUMNS}, ensure_ascii=False).encode()
            members = [(f"{side}.png", pngs[row[f"{side}_image_id"]]) for side in SIDES]
            for ending, content in (*members, ("json", facts)):
                member = tarfile.TarInfo(f"{row['row_id']}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
