"""Going on with smaller batches where memory runs out."""

import logging
from collections.abc import Callable
from typing import TypeVar

from accelerate.utils.memory import should_reduce_batch_size

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


def halve_until_it_fits(work: Callable[[int], Result], batch: int) -> tuple[Result, int]:
    """Call ``work(batch)``; when memory runs out, again with half the batch, down to 1.

    Returns:
        What it gives, and the batch that it gave it with.

    Raises:
        RuntimeError: any other failure of ``work``, or memory that does not suffice for one item.
    """
    while True:
        try:
            return work(batch), batch
        except (RuntimeError, MemoryError) as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
            batch //= 2
            logger.warning("Out of memory: going on with batches of %d", batch)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on a processor or an accelerator."""
    return isinstance(error, MemoryError) or should_reduce_batch_size(error)
