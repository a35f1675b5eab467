"""The judge of likeness: refuses an image that looks like an image of another concept.

What two concepts' images share is not what tells them apart. Both images are refused: nothing says which of them is
wrong.
"""

import numpy as np
import pandas as pd

from cultureclip.concepts.neighbours import culture_matrix, nearest_of_other_cultures
from cultureclip.errors import ConfigurationError
from cultureclip.judging.judge import Judge
from cultureclip.judging.look_alikes import find_look_alikes
from cultureclip.judging.panel import Material
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import PanelSettings

_AT_ONCE = 4096


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return each image's nearest image of another concept; see :data:`cultureclip.judging.panel.Judge`."""
    measured = material.measured
    rows = measured[measured["fault"].isna()]
    if material.encoder is None:
        raise ConfigurationError("filtering.judges", "distinct compares embeddings", "Give it an encoder")
    rows = rows[rows["image_id"].isin(material.encoder.embed_images(material.images, rows["image_id"]))]
    found = pd.DataFrame({"near_similarity": np.nan, "duplicate_of": None}, index=measured.index)
    if rows["concept_id"].nunique() > 1:
        embeddings = _read_embeddings(material.encoder, rows["image_id"].tolist())
        if len(rows) <= settings.distinct.measured_up_to:
            own = culture_matrix([[concept] for concept in rows["concept_id"]])
            nearest = nearest_of_other_cultures(embeddings, own, 1)
            places, cosines = nearest.places[:, 0], nearest.cosines[:, 0].astype(float).clip(-1, 1)
        else:
            places, cosines = find_look_alikes(
                embeddings, pd.factorize(rows["concept_id"])[0], settings.distinct.max_similarity
            )
        found.loc[rows.index, "near_similarity"] = cosines
        found.loc[rows.index, "duplicate_of"] = rows["image_id"].to_numpy()[places]
    too_near = found["near_similarity"] > settings.distinct.max_similarity
    reason = pd.Series(None, index=measured.index, dtype=object)
    return found.assign(
        duplicate_of=found["duplicate_of"].where(too_near),
        reason=reason.mask(too_near, str(Reason.LIKE_ANOTHER_CONCEPT)),
    )


def _read_embeddings(encoder: Judge, ids: list[str]) -> np.ndarray:
    """Return the embeddings of images, float32 [N, D]; only the matrix is in memory, not a row of each image."""
    embeddings = np.empty((0, 0), np.float32)
    for start in range(0, len(ids), _AT_ONCE):
        rows = [look["embedding"] for look in encoder.read_looks(ids[start : start + _AT_ONCE]).values()]
        if start == 0:
            embeddings = np.empty((len(ids), len(rows[0])), np.float32)
        embeddings[start : start + len(rows)] = rows
    return embeddings
