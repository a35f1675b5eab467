"""Recognise that memory ran out, and continue with smaller batches or say which item does not fit."""

import errno
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from cultureclip.errors import ConfigurationError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_OUT_OF_MEMORY = re.compile(
    r"out of memory"  # CUDA, HIP, XPU and MPS, from torch's allocator or from the driver
    r"|DefaultCPUAllocator: (?:can't allocate|not enough) memory"
    r"|(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE)_STATUS_\w*ALLOC(?:ATION)?_FAILED"
    r"|CUBLAS_STATUS_NOT_INITIALIZED.*cublasCreate"  # no room for the library's own workspace
    r"|[Cc]annot allocate memory|std::bad_alloc"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a processor or an accelerator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def halve_until_it_fits(work: Callable[[int], Result], batch: int) -> tuple[Result, int]:
    """Call ``work(batch)``; when memory runs out, call it again with half the batch, down to 1.

    Returns:
        The result of ``work``, and the batch that fitted.

    Raises:
        RuntimeError: if ``work`` fails for another reason, or memory does not suffice for one item.
    """
    while True:
        try:
            return work(batch), batch
        except (RuntimeError, MemoryError, OSError) as error:
            if batch == 1 or not is_out_of_memory(error):
                raise
            batch //= 2
            logger.warning("Out of memory: going on with batches of %d", batch)


@contextmanager
def fitting_into_memory(item: object, remedy: str, memory: str = "memory") -> Iterator[None]:
    """Turn a lack of memory inside the block into an error that names the item.

    Args:
        item: Item that is loaded or computed: a path, an id.
        remedy: Steps for the user.
        memory: Name of the memory, such as ``the memory of cuda``.

    Raises:
        ConfigurationError: if memory runs out.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ConfigurationError(item, f"does not fit into {memory} ({reason})", remedy) from error
