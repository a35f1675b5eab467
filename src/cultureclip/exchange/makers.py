"""Models that made the training data, for cards."""

from collections.abc import Mapping
from typing import Any

import pandas as pd


def name_models(rows: pd.DataFrame, captions: pd.DataFrame, run_manifest: Mapping[str, Any]) -> dict[str, str]:
    """Name the models of the newest run, and of the captions, which say it themselves.

    Args:
        rows: Rows of CULTWIN.
        captions: Table CAPTIONS.
        run_manifest: The manifest of a run.

    Returns:
        Role in the run -> model.
    """
    written = captions[captions["caption_id"].isin({*rows["pos_caption_id"], *rows["neg_caption_id"]})]
    named = {name: str(model.get("spec")) for name, model in sorted(run_manifest.get("models", {}).items())}
    return {"captions": ", ".join(sorted(written["model"].unique())), **named}
