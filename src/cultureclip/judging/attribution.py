"""The judge of attribution: links an image to an entity of the concepts table, and grades that for the image's culture.

After CAIRe (arXiv 2506.09109), see :mod:`cultureclip.attribution`. It looks at the picture alone: the concept that was
asked for says only which cultures are graded. An image whose entity belongs to none of them is refused; one without a
grade fails, with no grade in its place.
"""

from collections.abc import Mapping

import pandas as pd

from cultureclip.concepts.regions import region_name
from cultureclip.errors import ConfigurationError
from cultureclip.judging.panel import Material
from cultureclip.judging.reasons import Reason
from cultureclip.judging.settings import PanelSettings


def judge(material: Material, settings: PanelSettings) -> pd.DataFrame:
    """Return the entity and its best grade for a culture; see :data:`cultureclip.judging.panel.Judge`."""
    from cultureclip.attribution.embedding import Embedder
    from cultureclip.attribution.grading import Grader
    from cultureclip.attribution.indexing import build_index
    from cultureclip.attribution.knowledge_base import KnowledgeBase, entities_of_concepts
    from cultureclip.attribution.linking import link_images
    from cultureclip.attribution.prompts import DIGIT, WRITTEN, read_attribution_prompt
    from cultureclip.models.chat.open import open_chat_model

    how = settings.attribution
    if how is None:
        raise ConfigurationError("filtering.attribution", "not there", "Say which models link and grade images")
    prompt = read_attribution_prompt(material.attribution_prompt)
    measured = material.measured
    rows = measured[measured["fault"].isna()]
    found = pd.DataFrame({"entity_id": None, "culture_grade": float("nan"), "reason": None}, index=measured.index)
    if rows.empty:
        return found
    knowledge, embedder = KnowledgeBase.of(entities_of_concepts(material.concepts)), Embedder(how, material.store)
    index = build_index(knowledge, embedder, how.picture_size)
    links = link_images(material.images, rows["image_id"].tolist(), knowledge, index, embedder, how)
    asked = (WRITTEN,) if how.grade == "generated" else (DIGIT,)
    model, usage = open_chat_model(how.language_model), material.attribution_usage
    grader = Grader(model, prompt, how, material.store, usage, asked)
    cultures = _cultures_by_image(rows, material.concepts)
    graded = grader.grade_images(links, knowledge, material.images, cultures.__getitem__)
    best = graded.groupby("image_id").agg(entity_id=("entity_id", "first"), grade=(f"grade_{how.grade}", "max"))
    best = best.reindex(rows["image_id"])
    found.loc[rows.index, "entity_id"] = best["entity_id"].to_numpy(dtype=object)
    found.loc[rows.index, "culture_grade"] = best["grade"].astype(float).to_numpy()
    reason = pd.Series(None, index=rows.index, dtype=object)
    grade = found.loc[rows.index, "culture_grade"]
    reason = reason.mask(grade < how.min_grade, str(Reason.OTHER_CULTURE)).mask(grade.isna(), str(Reason.NOT_GRADED))
    found.loc[rows.index, "reason"] = reason
    return found


def _cultures_by_image(rows: pd.DataFrame, concepts: pd.DataFrame) -> Mapping[str, tuple[str, ...]]:
    """Return the English names of the cultures of the concept that each image was asked for."""
    named = {
        str(concept): tuple(map(region_name, codes))
        for concept, codes in zip(concepts["concept_id"], concepts["cultures"], strict=True)
    }
    return {str(i): named[str(c)] for i, c in zip(rows["image_id"], rows["concept_id"], strict=True)}
