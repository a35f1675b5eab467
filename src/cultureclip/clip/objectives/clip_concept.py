"""CLIP on concepts."""

from cultureclip.clip.objectives.objective import Objective


class ClipConcept(Objective):
    """Symmetric InfoNCE on concepts, positive sides only: clip(C) = 1/2 [ CE(s I+ C+^T) + CE(s C+ I+^T) ].

    Ablation of the CultureCLIP paper (arXiv 2507.06210).
    """

    concept_term = Objective.clip


OBJECTIVE = ClipConcept
