"""Work through a job in this process."""

import logging
import time
from collections import Counter
from collections.abc import Iterator

from cultureclip.engine.board import Board
from cultureclip.engine.job import Result, Task
from cultureclip.engine.journal import Beating
from cultureclip.errors import CultureClipError

logger = logging.getLogger(__name__)


def run_local(board: Board[Task, Result]) -> Iterator[Result]:
    """Work through a job's slices.

    Args:
        board: Hands out the slices. The worker is built when the first is taken.

    Yields:
        The worker's results, as they arrive.
    """
    worker = None
    for lease, piece in board.take_all():
        counts: Counter[str] = Counter()
        with board.working(lease), Beating(lease, board.settings.silent_s):
            worker = worker or board.job.make_worker(None)
            started = time.monotonic()
            try:
                for result in worker(piece.task):
                    counts.update(board.job.count(result))
                    yield result
            except CultureClipError:
                raise
            except Exception as error:
                if board.settings.journal is None:
                    raise
                logger.debug("Slice %s failed", piece.name, exc_info=True)
                board.fail(lease, f"{type(error).__name__}: {error}")
                continue
            board.finish(lease, piece, time.monotonic() - started, counts)
