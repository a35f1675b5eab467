"""CoN-CLIP."""

from cultureclip.clip.objectives.objective import Objective


class ConClip(Objective):
    """1/3 [ CE(s I+ [T+ | T-]^T) + CE(s T+ [I+ | I-]^T) + CE(s I- [T- | T+]^T) ] on captions.

    Shape of Singh et al. 2024 (arXiv 2403.20312), whose second captions are negations and whose image tower is locked;
    the latter is a choice of the adapter, not of the loss.
    """

    caption_term = Objective.three_way


OBJECTIVE = ConClip
