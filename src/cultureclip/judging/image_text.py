"""The image-text judge: an image must be nearer to its own concept than to its twin's and than to chance."""

import pandas as pd

from cultureclip.judging.panel import Material
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import MarginSettings, PanelSettings

SIMILARITIES = ("clip_similarity", "twin_similarity", "chance_similarity")


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return similarities and reasons; see :data:`cultureclip.judging.panel.Judge`."""
    measured = material.measured
    return measured[list(SIMILARITIES)].assign(reason=refuse_by_similarity(measured, settings))


def refuse_by_similarity(measured: pd.DataFrame, settings: MarginSettings) -> pd.Series:
    """Say of every image why its similarities refuse it; each rule fails a score that is not a number.

    Args:
        measured: From :func:`cultureclip.judging.scores.measure`.
        settings: The margins.

    Returns:
        A reason, or missing for an accepted image, on the index of ``measured``.
    """
    own = measured["clip_similarity"]
    reason = pd.Series(None, index=measured.index, dtype=object)
    reason = reason.mask(~(own > measured["twin_similarity"] + settings.twin_margin), str(Reason.CLOSER_TO_TWIN))
    chance = measured["chance_similarity"] + settings.chance_margin
    return reason.mask(~(own > chance), str(Reason.NO_BETTER_THAN_CHANCE))
