"""CLIP, positive sides."""

from torch import Tensor

from cultureclip.clip.objectives.contrast import TwinEmbeddings
from cultureclip.clip.objectives.objective import Objective

_IS_ZERO = 4
"""Number of a defect of the release in ``as_released``."""


class Clip(Objective):
    """Symmetric InfoNCE on captions, positive sides only: clip(T) = 1/2 [ CE(s I+ T+^T) + CE(s T+ I+^T) ].

    Radford et al. 2021 (arXiv 2103.00020).
    """

    caption_term = Objective.clip

    def forward(self, twins: TwinEmbeddings) -> Tensor:
        """Return the loss of a batch; as released, a zero without gradient, on which ``backward`` fails."""
        if _IS_ZERO in self.settings.as_released:
            return twins.scale.new_zeros(())
        return super().forward(twins)


OBJECTIVE = Clip
