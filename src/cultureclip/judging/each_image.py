"""Looks at images one by one with a small model, and keeps what was seen."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from PIL import Image

from cultureclip.engine.progress import progress_bar
from cultureclip.ids import digest
from cultureclip.judging.panel import Material
from cultureclip.judging.read import read_images

_AT_ONCE = 64


def look_at_each(
    material: Material, name: str, look: Callable[[Image.Image], dict[str, Any]], columns: list[str]
) -> pd.DataFrame:
    """Look at every image that has no fault and was not looked at before.

    Args:
        material: The images.
        name: Everything that decides what is seen: the judge first, then its model and version.
        look: RGB picture -> what is seen, as JSON.
        columns: The keys of that.

    Returns:
        ``columns`` on the index of ``measured``; missing for an image that cannot be looked at.
    """
    wanted = material.measured.loc[material.measured["fault"].isna(), "image_id"].astype(str)
    keys = {image: digest("look", name, image) for image in wanted}
    kept = material.store.get(keys.values())
    seen = {image: kept[key] for image, key in keys.items() if key in kept}
    missing, judge = sorted(keys.keys() - seen.keys()), name.partition(" ")[0]
    for start in progress_bar(range(0, len(missing), _AT_ONCE), desc=f"judge {judge}", disable=not missing):
        pictures = read_images(material.images, missing[start : start + _AT_ONCE])
        found = {image: look(picture) for image, picture in pictures.items()}
        material.store.put({keys[image]: value for image, value in found.items()})
        seen |= found
    rows = [seen.get(str(image), {}) for image in material.measured["image_id"]]
    return pd.DataFrame(rows, index=material.measured.index, columns=columns)
