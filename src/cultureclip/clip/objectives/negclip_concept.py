"""NegCLIP on concepts."""

from cultureclip.clip.objectives.objective import Objective


class NegClipConcept(Objective):
    """neg(I+, C+, C-): the twin's concepts are further negatives for the images.

    Ablation of the CultureCLIP paper (arXiv 2507.06210).
    """

    concept_term = Objective.neg


OBJECTIVE = NegClipConcept
