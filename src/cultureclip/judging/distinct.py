"""The judge of likeness: refuses an image that looks like an image of another concept.

What two concepts' images share is not what tells them apart. Both images are refused: nothing says which of them is
wrong.
"""

import numpy as np
import pandas as pd

from cultureclip.concepts.neighbours import culture_matrix, nearest_of_other_cultures
from cultureclip.errors import ConfigurationError
from cultureclip.judging.panel import Material
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import PanelSettings


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return each image's nearest image of another concept; see :data:`cultureclip.judging.panel.Judge`."""
    measured = material.measured
    rows = measured[measured["fault"].isna()]
    if material.encoder is None:
        raise ConfigurationError("filtering.judges", "distinct compares embeddings", "Give it an encoder")
    seen = material.encoder.look_at(material.images, rows["image_id"])
    rows = rows[rows["image_id"].isin(seen.keys())]
    found = pd.DataFrame({"near_similarity": np.nan, "duplicate_of": None}, index=measured.index)
    if rows["concept_id"].nunique() > 1:
        embeddings = np.stack([seen[image]["embedding"] for image in rows["image_id"]])
        own = culture_matrix([[concept] for concept in rows["concept_id"]])
        nearest = nearest_of_other_cultures(embeddings, own, 1, settings.distinct.search)
        found.loc[rows.index, "near_similarity"] = nearest.cosines[:, 0].astype(float)
        found.loc[rows.index, "duplicate_of"] = rows["image_id"].to_numpy()[nearest.places[:, 0]]
    too_near = found["near_similarity"] > settings.distinct.max_similarity
    reason = pd.Series(None, index=measured.index, dtype=object)
    return found.assign(
        duplicate_of=found["duplicate_of"].where(too_near),
        reason=reason.mask(too_near, str(Reason.LIKE_ANOTHER_CONCEPT)),
    )
