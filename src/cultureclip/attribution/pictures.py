"""Pictures by id: the reference pictures of a knowledge base, and a folder of images."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from PIL import Image

from cultureclip.concepts.atlas import EMOJI_SCHEME
from cultureclip.concepts.emoji import STYLES, render
from cultureclip.concepts.looks import open_image
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest, digest
from cultureclip.reading.pictures import RULES, SUFFIXES, ImageError, read_picture


class ReferencePictures:
    """An ``ImageSource`` of pictures that are their own ids: paths of files, or ``emoji:<char>``.

    Args:
        references: The pictures.
        size: Edge in pixels at which an emoji is drawn, in the first drawing style.
    """

    def __init__(self, references: Sequence[str], size: int) -> None:
        self._references, self._size = list(references), size

    @property
    def ids(self) -> Sequence[str]:
        """The references."""
        return self._references

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """Open pictures, in the order of ``ids``.

        Raises:
            SourceDataError: if there is no such drawing or file, or the file is not a picture that is read.
        """
        return [self._open(reference) for reference in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        """Return a digest for each picture: of a drawing's pixels, or of a file's bytes and the rules of decoding.

        Raises:
            SourceDataError: if there is no such drawing.
            ImageError: if the file is missing, too large or cannot be read.
        """
        return [self._checksum(reference) for reference in ids]

    def _open(self, reference: str) -> Image.Image:
        if reference.startswith(EMOJI_SCHEME):
            return Image.fromarray(render(reference.removeprefix(EMOJI_SCHEME), STYLES[0], self._size))
        return open_image(reference)

    def _checksum(self, reference: str) -> str:
        if reference.startswith(EMOJI_SCHEME):
            return digest("pixels", self._size, bytes_digest(self._open(reference).tobytes()))
        return _file_id(Path(reference))


class ImageFolder:
    """An ``ImageSource`` of all picture files in a folder and below it; an image's id is the digest of its bytes.

    Files of equal bytes are one image. A file that cannot be read has the digest of its path for an id.

    Args:
        folder: Where to look.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def paths(self) -> dict[str, str]:
        """Image id -> path of its first file, relative to the folder; in the order of the paths.

        Raises:
            SourceDataError: if there is no such folder, or no picture file in it.
        """
        if not self._folder.is_dir():
            raise SourceDataError(self._folder, "no such folder", "Give a folder of image files")
        files = [path for path in sorted(self._folder.rglob("*")) if _is_picture(path)]
        if not files:
            raise SourceDataError(self._folder, "no image in it", f"Image files end in {', '.join(sorted(SUFFIXES))}")
        found: dict[str, str] = {}
        for path in files:
            relative = path.relative_to(self._folder).as_posix()
            try:
                image_id = _file_id(path)
            except ImageError:
                image_id = digest("unreadable", relative)
            found.setdefault(image_id, relative)
        return found

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the images."""
        return list(self.paths)

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """Open images, in the order of ``ids``.

        Raises:
            SourceDataError: if a file is not a picture that is read.
        """
        return [open_image(str(self._folder / self.paths[image_id])) for image_id in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        """Return the ids: they are digests of the files' bytes already."""
        return list(ids)


def _file_id(path: Path) -> str:
    return digest("file", RULES, bytes_digest(read_picture(path)))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in SUFFIXES and path.is_file()
