"""Names of files that stand in tables and configs from outside: kept inside their folder, found in any Unicode form."""

import os
import unicodedata
from pathlib import Path

from cultureclip.reading.text import RefusedError


def unicode_forms(text: str) -> list[str]:
    """Return a text as it is, composed (NFC) and decomposed (NFD), each once: a disk may keep a name in any of them."""
    if text.isascii():
        return [text]
    return list(dict.fromkeys([text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]))


def stored_form(path: Path) -> Path:
    """Return the path in the Unicode form in which it is on disk, or the path itself if it is not there."""
    if str(path).isascii():
        return path
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        forms = [found / form for form in unicode_forms(part)]
        found = next((form for form in forms if os.path.lexists(form)), forms[0])
    return found


def find_inside(folder: Path, name: str) -> Path:
    """Return the file below a folder that a table or config names; it need not exist.

    The name alone is judged: a link below the folder is followed wherever it leads, as downloads and version control
    for data keep their files behind links.

    Raises:
        RefusedError: if the name is absolute or has a part "..".
    """
    path = Path(name)
    if path.anchor or ".." in path.parts:
        raise RefusedError('names a file outside the folder: an absolute path, or ".."')
    return stored_form(folder / path)
