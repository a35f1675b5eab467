"""Exact gradients of a contrastive batch in the memory of a chunk, on one process or on several.

Gradient caching (Gao et al. 2021, arXiv 2101.06983). A contrastive loss couples all embeddings of a batch, but each
embedding depends on its own input alone. So: embed everything without a graph; take the loss and its gradient at the
embeddings; embed chunk by chunk again, now with a graph, and pass each chunk its part of that gradient. The random
state of a chunk is drawn again from its own seed, so dropout is the same both times.

With a group of processes each embeds its share, and the embeddings of all are summed into place before the loss:
processes x chunk is one big batch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cultureclip.clip.training.distributed import Group


@dataclass(frozen=True)
class Encoding:
    """Rows to be embedded in chunks.

    Attributes:
        count: Number of rows N.
        encode: Rows of a slice -> embeddings [n, D], fp32.
        chunk: Rows that are embedded at once; None: all of a process's share.
    """

    count: int
    encode: Callable[[slice], Tensor]
    chunk: int | None = None

    def chunks(self, group: Group) -> list[slice]:
        """Return the slices that this process embeds."""
        share = group.share(self.count)
        size = self.chunk or max(1, share.stop - share.start)
        return [slice(a, min(a + size, share.stop)) for a in range(share.start, share.stop, size)]


def embed(encodings: Sequence[Encoding], group: Group, seed: int) -> list[Tensor]:
    """Return embeddings [N, D] of all rows of every encoding, without a graph, the same in every process."""
    with torch.no_grad():
        return _gather(encodings, group, [part.detach() for _, _, part in _encode(encodings, group, seed)])


def backward_in_chunks(
    encodings: Sequence[Encoding],
    loss_of: Callable[[Sequence[Tensor]], Tensor],
    parameters: Sequence[nn.Parameter],
    group: Group,
    seed: int,
) -> Tensor:
    """Add the gradient of ``loss_of(embeddings)`` to ``parameters``, whose gradients must be None before.

    If no encoding has more than one chunk in this process, the first pass keeps its graph and there is no second.
    The second leaves out chunks to which the loss gives no gradient, and all but the first of a frozen tower's.

    Args:
        encodings: Inputs to embed.
        loss_of: Embeddings, one [N, D] an encoding -> scalar; may use parameters directly (temperature, penalties).
        parameters: All trained parameters.
        group: The processes that share the work.
        seed: Seed of dropout.

    Returns:
        The loss, detached; the same in every process.
    """
    at_once = all(len(encoding.chunks(group)) <= 1 for encoding in encodings)
    with torch.set_grad_enabled(at_once):
        first = list(_encode(encodings, group, seed))
    leaves = _gather(encodings, group, [part.detach() for _, _, part in first])
    for leaf in leaves:
        leaf.requires_grad_(True)
    loss = loss_of(leaves)
    loss.backward()
    if not group.leads:  # the gradient that does not go through embeddings is the same everywhere: counted once
        for parameter in parameters:
            parameter.grad = None
    frozen: set[int] = set()

    def learns(number: int, rows: slice) -> bool:
        gradient = leaves[number].grad
        return number not in frozen and gradient is not None and bool(gradient[rows].any())

    for number, rows, part in first if at_once else _encode(encodings, group, seed, learns):
        gradient = leaves[number].grad
        if not part.requires_grad:
            frozen.add(number)
        elif gradient is not None:
            part.backward(gradient[rows])
    group.sum_gradients(parameters)
    return loss.detach()


def _encode(
    encodings: Sequence[Encoding], group: Group, seed: int, wanted: Callable[[int, slice], bool] = lambda *_: True
) -> Iterator[tuple[int, slice, Tensor]]:
    """Yield (number of the encoding, rows, embeddings) of the wanted chunks, each under its own random state."""
    for number, encoding in enumerate(encodings):
        for rows in encoding.chunks(group):
            if wanted(number, rows):
                torch.manual_seed(chunk_seed(seed, number, rows.start))
                yield number, rows, encoding.encode(rows)


def chunk_seed(seed: int, number: int, start: int) -> int:
    """Return the seed of a chunk's dropout: the same in both passes, another for every chunk."""
    return (seed + 1_000_003 * number + 7_919 * start) % 2**63


def _gather(encodings: Sequence[Encoding], group: Group, parts: Sequence[Tensor]) -> list[Tensor]:
    """Put this process's parts in place and sum over the group: all rows of every encoding, all of one width."""
    rest, gathered = iter(parts), []
    for encoding in encodings:
        whole = parts[0].new_zeros(encoding.count, parts[0].shape[1])
        for rows in encoding.chunks(group):
            whole[rows] = next(rest)
        gathered.append(group.sum(whole))
    return gathered
