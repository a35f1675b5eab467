"""The judge of safety: refuses images in which nudity is seen.

NudeNet (AGPL-3.0, whose package holds its model) detects parts of bodies, covered or exposed. An image's safety is one
less the detector's confidence in the surest exposed part, so 1 where none is found.
"""

from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from cultureclip.judging.each_image import look_at_each
from cultureclip.judging.panel import Material
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import PanelSettings

UNSAFE = (
    "BUTTOCKS_EXPOSED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "ANUS_EXPOSED",
)
"""Parts that count. Bare feet, bellies and chests of men are at home in many dresses, and do not."""


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return the safety of each image and reasons; see :data:`cultureclip.judging.panel.Judge`."""
    seen = look_at_each(material, f"safety nudenet {version('nudenet')}", measure_safety, ["safety"])
    safety = seen["safety"].astype(float)
    unsafe = ~(safety >= settings.safety.min_safety)  # a score that is missing is not a safe one
    reason = pd.Series(None, index=seen.index, dtype=object)
    return seen.assign(safety=safety, reason=reason.mask(unsafe, str(Reason.UNSAFE)))


def measure_safety(picture: Image.Image) -> dict[str, float]:
    """Return the safety of an RGB picture, from 0 to 1."""
    found = _detector().detect(np.asarray(picture)[:, :, ::-1])
    return {"safety": 1.0 - max((part["score"] for part in found if part["class"] in UNSAFE), default=0.0)}


@cache
def _detector() -> Any:
    from nudenet import NudeDetector

    return NudeDetector()
