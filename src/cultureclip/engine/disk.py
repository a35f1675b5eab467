"""Tells a failing disk, which stops a run, from a damaged or missing file, which costs one item."""

import errno
from pathlib import Path

from cultureclip.errors import StorageError


def is_disk_failure(error: BaseException) -> bool:
    """Tell whether reading failed for the system's sake.

    What Pillow and the parquet reader find wrong in a file has no error number; a missing file is not a failing disk.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.ENOENT)


def check_picture_error(error: BaseException) -> None:
    """Pass over an error that is about one picture.

    Raises:
        StorageError: if it is about the disk, which says nothing about the picture.
    """
    if isinstance(error, OSError) and is_disk_failure(error):
        remedy = "This is a disk error, not a broken picture: fix the disk or the permissions, then run again"
        raise StorageError(error.filename or "images", f"cannot be read ({error.strerror})", remedy) from error


def cannot_write(path: Path, error: OSError) -> StorageError:
    """Describe a failed write: place, cause and remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        remedy = "Free disk space or raise the quota, then run again: finished items are kept"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        remedy = "Make the folder writable, or set another data root in conf/local/globals.yml; then run again"
    else:
        remedy = "Check the disk, then run again: finished items are kept"
    return StorageError(path, f"cannot be written ({error.strerror or error})", remedy)
