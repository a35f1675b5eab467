"""CLIP on captions, NegCLIP on concepts."""

from cultureclip.clip.objectives.objective import Objective


class ClipCaptionNegConcept(Objective):
    """lambda_caption * clip(T) + lambda_concept * neg(I+, C+, C-): twins on the side of concepts only.

    Ablation of the CultureCLIP paper (arXiv 2507.06210).
    """

    caption_term = Objective.clip
    concept_term = Objective.neg


OBJECTIVE = ClipCaptionNegConcept
