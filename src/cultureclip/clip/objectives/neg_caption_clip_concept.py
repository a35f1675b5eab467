"""NegCLIP on captions, CLIP on concepts."""

from cultureclip.clip.objectives.objective import Objective


class NegCaptionClipConcept(Objective):
    """lambda_caption * neg(I+, T+, T-) + lambda_concept * clip(C): twins on the side of captions only.

    Ablation of the CultureCLIP paper (arXiv 2507.06210).
    """

    caption_term = Objective.neg
    concept_term = Objective.clip


OBJECTIVE = NegCaptionClipConcept
