"""CultureCLIP."""

from cultureclip.clip.objectives.objective import Objective


class CultureClip(Objective):
    """lambda_caption * pair(T) + lambda_concept * pair(C).

    The CultureCLIP paper (arXiv 2507.06210); released weights 0.7 and 0.3.
    """

    caption_term = Objective.pair
    concept_term = Objective.pair


OBJECTIVE = CultureClip
