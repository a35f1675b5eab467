"""Sequences of tokens of several lengths, one after another without padding."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sequences:
    """Places of N sequences' tokens among T rows.

    Attributes:
        count: N.
        length: Number of tokens of the longest sequence, L.
        places: int64 [T], each row's place among the N * L padded ones; None if nothing is padded and T = N * L.
        pooled: int64 [N], the row of each sequence that its embedding is taken from.
        mask: Additive attention mask, [L, L]; None: every token sees every token.
    """

    count: int
    length: int
    places: Tensor | None
    pooled: Tensor
    mask: Tensor | None

    @classmethod
    def equally_long(cls, x: Tensor, position: int, mask: Tensor | None = None) -> "Sequences":
        """Describe tokens [N, L, W], pooled at one position of each."""
        count, length, _ = x.shape
        return cls(count, length, None, torch.arange(count, device=x.device) * length + position, mask)

    @classmethod
    def up_to(cls, ends: Tensor, length: int, mask: Tensor) -> "Sequences":
        """Describe the first tokens of N sequences, each up to the one that is pooled.

        Args:
            ends: int64 [N], positions of the pooled tokens.
            length: L, more than the largest of them.
            mask: The causal mask, [L, L]: only under such a one do later tokens not matter.
        """
        kept = torch.arange(length, device=ends.device) <= ends[:, None]
        return cls(len(ends), length, kept.flatten().nonzero().flatten(), (ends + 1).cumsum(0) - 1, mask)

    def gather(self, x: Tensor) -> Tensor:
        """Return the rows [T, C] of padded tokens [N, L, C]."""
        rows = x.reshape(self.count * self.length, -1)
        return rows if self.places is None else rows.index_select(0, self.places)

    def pad(self, x: Tensor) -> Tensor:
        """Return padded tokens [N, L, C] of rows [T, C], zeros in between."""
        if self.places is not None:
            x = x.new_zeros(self.count * self.length, x.shape[1]).index_copy(0, self.places, x)
        return x.view(self.count, self.length, -1)

    def pooled_mask(self) -> Tensor | None:
        """Return the mask of the pooled tokens as queries, [N, 1, 1, L]; None without a mask."""
        if self.mask is None:
            return None
        places = self.pooled if self.places is None else self.places[self.pooled]
        return self.mask[places % self.length][:, None, None]
