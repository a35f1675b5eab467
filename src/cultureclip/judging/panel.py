"""The panel: every judge that decides gives an opinion of every image, and the opinions are combined."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.images.source import ImageSource
from cultureclip.judging.judge import Judge as Encoder
from cultureclip.judging.reasons import FAILURES
from cultureclip.judging.settings import JUDGES, PanelSettings
from cultureclip.models.chat.asking import Usage


@dataclass(frozen=True)
class Material:
    """Everything that judges may look at.

    Attributes:
        measured: From :func:`cultureclip.judging.scores.measure`, one row per planned image; ``fault`` says why an
            image cannot be judged.
        images: Store of the images.
        concepts: Table of concepts.
        store: Store of what judges have answered.
        rating_prompt: Content of ``prompts/rating.yml``.
        attribution_prompt: Content of ``prompts/attribution.yml``.
        usage: Counts of what the model that rates was asked.
        attribution_usage: Counts of what the model that grades was asked.
        encoder: Embeds images for judges that compare them; None where no such judge decides.
        engine: Where models look at images, and shared with whom.
    """

    measured: pd.DataFrame
    images: ImageSource
    concepts: pd.DataFrame
    store: KeyedStore
    rating_prompt: dict[str, Any]
    attribution_prompt: dict[str, Any]
    usage: Usage = field(default_factory=Usage)
    attribution_usage: Usage = field(default_factory=Usage)
    encoder: Encoder | None = None
    engine: EngineSettings = HERE


Judge = Callable[[Material, PanelSettings], pd.DataFrame]
"""The function ``judge`` of a judge's module.

It returns a table on the index of ``measured``: columns of the table of judgements, and ``reason``, missing where the
image is accepted. What it says of images with a ``fault`` is not used.
"""


def ask_judges(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Let every judge that decides judge every image.

    Returns:
        One row per judge and image: ``image_id``, ``judge``, ``caption_id``, what the judge measured, its ``verdict``
        and ``reason``.
    """
    measured, opinions = material.measured, []
    for name in settings.judges.decide:
        judge: Judge = import_module(JUDGES[name]).judge
        opinion = judge(material, settings)
        reason = opinion["reason"].mask(measured["fault"].notna(), measured["fault"].astype(object))
        named = measured[["image_id", "caption_id"]].assign(judge=name)
        opinions.append(named.join(opinion.assign(reason=reason, verdict=to_verdicts(reason))))
    return pd.concat(opinions, ignore_index=True)


def to_verdicts(reason: pd.Series) -> np.ndarray:
    """Return ``accepted`` where there is no reason against an image, else ``failed`` or ``rejected``."""
    return np.select([reason.isna(), reason.isin(FAILURES)], ["accepted", "failed"], default="rejected")


def combine_reasons(opinions: pd.DataFrame, image_ids: pd.Series, settings: PanelSettings) -> pd.Series:
    """Combine the judges' opinions into one reason per image.

    A refused image has the reason of the first judge that refuses it, in the order in which they are named.

    Args:
        opinions: From :func:`ask_judges`.
        image_ids: The images wanted.
        settings: Says whether all judges must accept, or any.

    Returns:
        A reason, or missing for an accepted image, on the index of ``image_ids``.
    """
    first = pd.Series(None, index=image_ids.index, dtype=object)
    accepted = pd.Series(False, index=image_ids.index)
    for name in settings.judges.decide:
        said = opinions.loc[opinions["judge"] == name].set_index("image_id")["reason"].reindex(image_ids)
        reasons = pd.Series(said.to_numpy(dtype=object), index=image_ids.index, dtype=object)
        accepted |= reasons.isna()
        first = first.where(first.notna(), reasons)
    if settings.judges.combine == "any":
        first = first.mask(accepted)
    return first.where(first.notna(), None)
