"""Nodes of the export."""

import logging
from typing import Any

import pandas as pd

from cultureclip.datasets.site_dataset import SiteFiles
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.pipelines.export.parameters import ExportParameters

logger = logging.getLogger(__name__)

SUMMARY = (
    "Pairs of things that look alike and belong to different cultures, with captions and generated images, to teach "
    "image-text models to tell them apart."
)


def export_dataset(
    cultwin: pd.DataFrame,
    concepts: pd.DataFrame,
    captions: pd.DataFrame,
    images: ImageSource,
    run_manifest: dict[str, Any],
    parameters: ExportParameters,
) -> tuple[SiteFiles, dict[str, Any]]:
    """Divide the rows into those that leave and those that stay, and hand on the folder, which is written file by file.

    Returns:
        The folder, and the counts.

    Raises:
        SourceDataError: if no row may leave.
    """
    from cultureclip.exchange.card import CardFacts, count_sources
    from cultureclip.exchange.folder import DatasetFolder
    from cultureclip.exchange.makers import describe_teachers, name_models
    from cultureclip.exchange.rows import divide_rows
    from cultureclip.tables import SIDES

    rows, stayed = divide_rows(cultwin, concepts, images.ids, parameters.exclude)
    if rows.empty:
        cause = f"none of {len(cultwin)} rows may leave (by reason: {stayed})"
        raise SourceDataError("cultwin", cause, "Look at licences, terms and exclude in globals.yml")
    if stayed:
        logger.warning("Export: %d of %d rows stay, by reason: %s", sum(stayed.values()), len(cultwin), stayed)
    used = concepts[concepts["concept_id"].isin({c for side in SIDES for c in rows[f"{side}_concept_id"]})]
    facts = CardFacts(
        summary=SUMMARY,
        stayed=stayed,
        models=name_models(rows, captions, run_manifest),
        manifest=digest("manifest", run_manifest),
        commit=run_manifest.get("commit"),
        sources=count_sources(used),
        teachers=describe_teachers(run_manifest),
    )
    metrics = {"rows": len(rows), "stayed": stayed, "splits": rows["split"].value_counts().sort_index().to_dict()}
    return DatasetFolder(rows, images, facts, parameters), metrics
