"""CLIP on captions and concepts."""

from cultureclip.clip.objectives.objective import Objective


class ClipCaptionClipConcept(Objective):
    """lambda_caption * clip(T) + lambda_concept * clip(C): no twin on either side.

    Ablation "clip+clip" of the CultureCLIP paper (arXiv 2507.06210).
    """

    caption_term = Objective.clip
    concept_term = Objective.clip


OBJECTIVE = ClipCaptionClipConcept
