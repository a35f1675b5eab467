"""Plain contrastive tuning."""

from cultureclip.clip.objectives.objective import Objective


class ClipBoth(Objective):
    """Symmetric InfoNCE on captions over both sides at once: I = [I+ ; I-], T = [T+ ; T-], 2B x 2B.

    The plain baseline on the same images and steps as the twin objectives: a twin is one negative among many.
    """

    caption_term = Objective.clip_both


OBJECTIVE = ClipBoth
