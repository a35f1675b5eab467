"""TripletCLIP."""

from cultureclip.clip.objectives.objective import Objective


class TripletClip(Objective):
    """pair(T) = neg(I+, T+, T-) + neg(I-, T-, T+) on captions.

    Shape of Patel et al. 2024 (arXiv 2411.02545).
    """

    caption_term = Objective.pair


OBJECTIVE = TripletClip
