"""Progress bars that leave nothing behind on a terminal and fill no log file."""

import sys
from typing import Any

from tqdm.auto import tqdm

_SECONDS_BETWEEN = {True: 0.5, False: 60}
"""Between two drawings, on a terminal and in a log file."""


def progress_bar(*args: Any, **options: Any) -> Any:
    """Make a ``tqdm`` bar that appears after a second and disappears when it is done.

    Args:
        *args: Arguments of ``tqdm``.
        **options: Options of ``tqdm``.
    """
    shown = {"disable": False} | options  # explicit, so TQDM_DISABLE hides the libraries' bars and not ours
    return tqdm(*args, leave=False, delay=1, mininterval=_SECONDS_BETWEEN[sys.stderr.isatty()], **shown)
