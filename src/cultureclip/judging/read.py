"""Reading of images to judge: one that cannot be read costs no other."""

import logging
from collections.abc import Sequence

from PIL import Image

from cultureclip.engine.disk import check_picture_error
from cultureclip.errors import DamagedImageError
from cultureclip.images.source import ImageSource
from cultureclip.reading.pictures import to_rgb

logger = logging.getLogger(__name__)

_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, DamagedImageError)
"""Errors of Pillow for a file that is truncated, misnamed or too large when unpacked, and of the image store."""


def read_images(images: ImageSource, ids: Sequence[str]) -> dict[str, Image.Image]:
    """Read a batch at once; if an item cannot be read, read one by one, to lose only this item.

    Returns:
        image_id -> RGB picture; an image that cannot be read is absent and is warned of.

    Raises:
        StorageError: if the disk fails, which says nothing about the images.
    """
    try:
        return {i: to_rgb(picture) for i, picture in zip(ids, images.read(ids), strict=True)}
    except _UNREADABLE as error:
        check_picture_error(error)
        if len(ids) > 1:
            return {i: picture for part in ids for i, picture in read_images(images, [part]).items()}
        logger.warning("Image %s cannot be read: %s", ids[0], error)
        return {}
