"""Reference pictures in files: a cell names files and folders, and a source may have a folder of pictures per thing."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cultureclip.concepts.keys import name_key
from cultureclip.errors import SourceDataError
from cultureclip.reading.names import stored_form
from cultureclip.reading.pictures import SUFFIXES


def find_pictures(named: str) -> list[str]:
    """Return the files that a path names: the file itself, or the pictures of a folder in the order of their names.

    Whether a file is a picture is seen by the ending of its name; folders below the folder are not looked into.

    Args:
        named: Path from the project's folder, in any Unicode form.

    Returns:
        Paths in the form in which they are on disk; empty if there is no such file, or no picture in the folder.
    """
    path = str(stored_form(Path(named)))
    if os.path.isfile(path):  # noqa: PTH113  Path.is_file raises on a name that no disk can hold
        return [path]
    if not os.path.isdir(path):  # noqa: PTH112  likewise
        return []
    pictures = (file for file in sorted(Path(path).iterdir()) if file.suffix.lower().removeprefix(".") in SUFFIXES)
    return [str(file) for file in pictures if file.is_file()]


class PictureFolders:
    """Folders of pictures, each called by the name of a thing.

    Args:
        path: The folder that they are in.

    Attributes:
        unused: Names of the folders that were not asked for yet, or hold no picture.

    Raises:
        SourceDataError: if there is no such folder.
    """

    def __init__(self, path: str) -> None:
        if not os.path.isdir(path):  # noqa: PTH112  see above
            raise SourceDataError(path, "no such folder", "Give a folder with a folder of pictures for each thing")
        self._folders: dict[str, list[Path]] = defaultdict(list)
        for folder in sorted(Path(path).iterdir()):
            if folder.is_dir():
                self._folders[name_key(folder.name)].append(folder)
        self.unused = {folder.name for folders in self._folders.values() for folder in folders}

    def find(self, names: Iterable[str]) -> list[str]:
        """Return the pictures in the folders with one of a thing's names; case, accents and spaces do not count."""
        found: list[str] = []
        for key in dict.fromkeys(map(name_key, names)):
            for folder in self._folders.get(key, ()):
                if pictures := find_pictures(str(folder)):
                    self.unused.discard(folder.name)
                    found += pictures
        return found
