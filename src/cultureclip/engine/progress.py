"""Progress bars that leave nothing behind on a terminal and fill no log file."""

import sys
from multiprocessing import parent_process
from typing import Any

from tqdm.auto import tqdm

_SECONDS_BETWEEN = {True: 0.5, False: 60}
"""Between two drawings, on a terminal and in a log file."""


def progress_bar(*args: Any, **options: Any) -> Any:
    """Make a ``tqdm`` bar that appears after a second and disappears when it is done.

    Only the run's own process shows bars: those of its workers would write over each other.

    Args:
        *args: Arguments of ``tqdm``.
        **options: Options of ``tqdm``.
    """
    # explicit, so TQDM_DISABLE hides the libraries' bars and not ours
    shown = options | {"disable": options.get("disable", False) or parent_process() is not None}
    return tqdm(*args, leave=False, delay=1, mininterval=_SECONDS_BETWEEN[sys.stderr.isatty()], **shown)
