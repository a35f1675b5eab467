"""Pictures by id: the reference pictures of a knowledge base, and images from anywhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cultureclip.concepts.looks import open_image
from cultureclip.errors import SourceDataError
from cultureclip.ids import bytes_digest, digest
from cultureclip.pictures.registry import find_scheme
from cultureclip.reading.pictures import RULES, SUFFIXES, Encoded, ImageError, decode_image, read_picture


class ReferencePictures:
    """An ``ImageSource`` of pictures that are their own ids: paths of files, or references of a scheme.

    Args:
        references: The pictures.
        size: Edge in pixels at which a scheme draws, in the first drawing style.
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
        if drawn := find_scheme(reference):
            scheme, what = drawn
            return Image.fromarray(scheme.draw(what, scheme.styles[0], self._size))
        return open_image(reference)

    def _checksum(self, reference: str) -> str:
        if find_scheme(reference):
            return digest("pixels", self._size, bytes_digest(self._open(reference).tobytes()))
        return digest("file", RULES, bytes_digest(read_picture(Path(reference))))


class EncodedImages:
    """An ``ImageSource`` of image files, or of their bytes in a table; an image's id is the digest of its bytes.

    Files of equal bytes are one image. A file that cannot be read has the digest of its name for an id.

    Args:
        named: (Name, location of the bytes) of each image.
    """

    def __init__(self, named: Iterable[tuple[str, Encoded]]) -> None:
        self.names: dict[str, str] = {}
        self.ids_by_name: dict[str, str] = {}
        self._where: dict[str, Encoded] = {}
        for name, where in named:
            image_id = _id_of(name, where)
            self.ids_by_name[name] = image_id
            if image_id not in self._where:
                self.names[image_id], self._where[image_id] = name, where

    @property
    def ids(self) -> Sequence[str]:
        """Ids of the images, in the order in which they were first named."""
        return list(self._where)

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        """Open images, in the order of ``ids``.

        Raises:
            ImageError: if one is not a picture that is read.
        """
        return [decode_image(self._where[image_id].read()) for image_id in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        """Return the ids: they are digests of the files' bytes already."""
        return list(ids)


@dataclass(frozen=True)
class ImageFile:
    """A file on this machine; links are followed."""

    path: Path

    def read(self) -> bytes:
        """Return the file's bytes; see :func:`~cultureclip.reading.pictures.read_picture`."""
        return read_picture(self.path)


def open_folder(folder: Path) -> EncodedImages:
    """List the image files in a folder and below it, in the order of their paths; a name is the path in the folder.

    Raises:
        SourceDataError: if there is no such folder, or no image file in it.
    """
    if not folder.is_dir():
        raise SourceDataError(folder, "no such folder", "Give a folder of image files")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower().removeprefix(".") in SUFFIXES]
    if not any(path.is_file() for path in files):
        raise SourceDataError(folder, "no image in it", f"Image files end in {', '.join(sorted(SUFFIXES))}")
    return EncodedImages((path.relative_to(folder).as_posix(), ImageFile(path)) for path in files)


def _id_of(name: str, where: Encoded) -> str:
    try:
        return digest("file", RULES, bytes_digest(where.read()))
    except ImageError:
        return digest("unreadable", name)
