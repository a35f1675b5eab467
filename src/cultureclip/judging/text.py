"""The judge of text: refuses images in which text stands, such as watermarks, captions and garbled letters.

The text is found and read by RapidOCR, whose package holds its models (PP-OCR by PaddlePaddle, Apache-2.0).
"""

from collections.abc import Callable
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

LEAST_EDGE = 32
"""Smaller pictures are enlarged to this edge: the detector needs some pixels."""


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return the text read in each image and reasons; see :data:`cultureclip.judging.panel.Judge`."""
    name = f"text rapidocr {version('rapidocr')} {settings.text.min_confidence}"
    seen = look_at_each(material, name, lambda picture: recognise_text(picture, settings.text.min_confidence), ["text"])
    letters = seen["text"].fillna("").map(lambda text: sum(char.isalnum() for char in text))
    reason = pd.Series(None, index=seen.index, dtype=object)
    return seen.assign(reason=reason.mask(letters >= settings.text.min_letters, str(Reason.TEXT_IN_PICTURE)))


def recognise_text(picture: Image.Image, min_confidence: float) -> dict[str, str | None]:
    """Read the text in an RGB picture: lines in reading order, None where there is none."""
    if min(picture.size) < LEAST_EDGE:
        factor = LEAST_EDGE / min(picture.size)
        picture = picture.resize((round(picture.width * factor), round(picture.height * factor)))
    found = _reader()(np.asarray(picture)[:, :, ::-1])  # as OpenCV orders colours
    lines = zip(found.txts or (), found.scores or (), strict=True)
    text = "\n".join(line for line, confidence in lines if confidence >= min_confidence)
    return {"text": text or None}


@cache
def _reader() -> Callable[[np.ndarray], Any]:
    from rapidocr import RapidOCR

    reader: Callable[[np.ndarray], Any] = RapidOCR(params={"Global.log_level": "error"})
    return reader
