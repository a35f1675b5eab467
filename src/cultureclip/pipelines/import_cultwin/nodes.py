"""Nodes of the import."""

from typing import Any

import pandas as pd

from cultureclip.exchange.entry import TwinRows
from cultureclip.images.store import ShardStore
from cultureclip.pipelines.evaluation.nodes import Benchmarks, read_all
from cultureclip.pipelines.import_cultwin.parameters import ImportCultwinParameters

Published = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[str], pd.DataFrame]
Read = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]


def read_rows(twin_rows: TwinRows, image_store: ShardStore, parameters: ImportCultwinParameters) -> Read:
    """Read the rows, store their pictures, and make the tables.

    Returns:
        Concepts, twins, captions and training rows, what became of every row, and the counts.
    """
    from cultureclip.exchange.import_rows import import_rows

    tables, counts = import_rows(twin_rows, image_store, parameters, parameters.exclude)
    return *tables, counts


def check_rows(
    benchmarks: Benchmarks,
    rows: pd.DataFrame,
    image_store: ShardStore,
    counts: dict[str, Any],
    parameters: ImportCultwinParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Stop the run when the rows contain something that a benchmark holds out.

    Returns:
        The rows unchanged, and all counts.
    """
    from cultureclip.benchmarks.held_out import check_held_out
    from cultureclip.images.store import ImageSet

    images = ImageSet(image_store, sorted({*rows["pos_image_id"], *rows["neg_image_id"]}))
    found = check_held_out(benchmarks, rows, read_all(images, images.ids), near_distance=parameters.near_duplicate_bits)
    figures = {
        "twins": int(rows["twin_id"].nunique()),
        "concepts": len({*rows["pos_concept_id"], *rows["neg_concept_id"]}),
        "splits": rows["split"].value_counts().sort_index().to_dict(),
        "leak_check": found,
    }
    return rows, counts | figures


def publish_tables(
    concepts: pd.DataFrame, twins: pd.DataFrame, captions: pd.DataFrame, checked_rows: pd.DataFrame
) -> Published:
    """Hand on the tables of rows that hold nothing of a benchmark.

    Returns:
        Concepts, twins, captions, ids of the images, training rows.
    """
    images = sorted({*checked_rows["pos_image_id"], *checked_rows["neg_image_id"]})
    return concepts, twins, captions, images, checked_rows
