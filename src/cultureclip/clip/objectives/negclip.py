"""NegCLIP."""

from cultureclip.clip.objectives.objective import Objective


class NegClip(Objective):
    """neg(I+, T+, T-) on captions: the twin's captions are further negatives for the images.

    Shape of Yuksekgonul et al. 2023 (arXiv 2210.01936).
    """

    caption_term = Objective.neg


OBJECTIVE = NegClip
