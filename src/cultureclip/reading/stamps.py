"""Whether a file is still the one that was read before: by its size and times, without reading it."""

import time
from pathlib import Path

SETTLED_NS = 2_000_000_000
"""A file that changed less than this ago has no stamp: a file system's clock has ticks, so it may change once more in
the same one."""


def stamp_file(path: Path) -> str | None:
    """Return a text that another content of the file would not have; links are followed.

    The time of the last change to the file's entry is in it: nobody can set that back, as copying and unpacking do
    with the time of the content.

    Returns:
        None if there is no such file, or if it has just been written.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return None
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < SETTLED_NS:
        return None
    return f"{path.absolute()}|{found.st_size}|{found.st_mtime_ns}|{found.st_ctime_ns}"
