"""Images at a model's input size: decoded once, kept as bytes in a memory-mapped file, normalised at each use.

Layout of the cache: ``<cache_dir>/pixels-<key>.npy``, uint8 [N, 3, H, W], and ``pixels-<key>.json``, written last, with
its checksum and the unreadable images. The key has the pictures' contents and the preprocessing.
"""

import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import FileLock
from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from cultureclip.engine.atomic import replacing
from cultureclip.engine.disk import check_picture_error
from cultureclip.engine.progress import progress_bar
from cultureclip.errors import DamagedImageError, DamagedShardError, StorageError
from cultureclip.ids import digest
from cultureclip.images.source import ImageSource
from cultureclip.models.encoder import ImageTextEncoder
from cultureclip.reading.pictures import to_rgb

logger = logging.getLogger(__name__)

PIXELS_NAME = "pixels.npy"
_LAYOUT = 2  # part of the key: increase it when the decoding of the same pictures changes
_READ_AT_ONCE, _THREADS = 128, min(4, os.cpu_count() or 1)
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, KeyError, DamagedImageError)


@dataclass(frozen=True)
class DecodedImages:
    """Images at a model's input size.

    Attributes:
        pixels: uint8 [N, 3, H, W], an image that was asked for each; zeros for one that could not be read.
            A ``numpy.memmap`` if it is in the cache.
        unreadable: Id of an image that could not be read -> why.
        key: Key of the cache, which identifies the images; None for images in memory.
    """

    pixels: np.ndarray
    unreadable: dict[str, str]
    key: str | None = None


class _Record(BaseModel):
    """Description beside a cache file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str
    unreadable: dict[str, str]


def decode(
    images: ImageSource, wanted: Sequence[str], encoder: ImageTextEncoder, cache_dir: Path | None = None
) -> DecodedImages:
    """Decode images to the model's input size, or open the cache that they were decoded into before.

    Args:
        images: Store of the pictures.
        wanted: Distinct ids.
        encoder: Whose preprocessing is used.
        cache_dir: Cache of decoded images; None keeps them in memory.

    Raises:
        StorageError: if the cache cannot be written, or the disk that the pictures are on cannot be read.
        DamagedShardError: if pictures are in a damaged shard. A single broken picture is not an error.
    """
    if cache_dir is None:
        unreadable: dict[str, str] = {}
        slices = [np.zeros((0, 3, *_input_size(encoder)), np.uint8), *_slices(images, wanted, encoder, unreadable)]
        return DecodedImages(np.concatenate(slices), unreadable)
    key = _key(images, wanted, encoder)
    path = cache_dir / f"pixels-{key}.npy"
    cache_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # one of several processes makes the file
        found = _open(path)
        if found is None:
            _write(path, images, wanted, encoder)
            found = _open(path)
    if found is None:
        raise StorageError(path, "does not hold what was just written to it", "Check the disk, or set another work_dir")
    return replace(found, key=key)


def _key(images: ImageSource, wanted: Sequence[str], encoder: ImageTextEncoder) -> str:
    """Return the digest of the pictures and their preprocessing."""
    content = list(zip(wanted, images.checksums(wanted), strict=True))
    return digest("pixels", _LAYOUT, PIL.__version__, encoder.model.visual.preprocess_cfg, content)


def gather(pixels: np.ndarray, places: Tensor) -> Tensor:
    """Copy images out of a possibly mapped file: uint8 [len(places), 3, H, W]."""
    return torch.from_numpy(pixels[places.numpy()])


def save_pixels(pixels: np.ndarray, folder: Path) -> str:
    """Return where another process finds pixels, relative to a folder; write them there if they are in no cache."""
    if isinstance(pixels, np.memmap) and pixels.filename is not None:
        return os.path.relpath(pixels.filename, folder)
    with replacing(folder / PIXELS_NAME) as temporary, temporary.open("wb") as handle:
        np.save(handle, pixels)
    return PIXELS_NAME


def open_pixels(path: Path) -> np.ndarray:
    """Map a file of pixels that another process has made and checked.

    Raises:
        StorageError: if it is gone or cut off.
    """
    try:
        pixels: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        remedy = "Start the training again: the file is regenerated"
        raise StorageError(path, f"not a whole file of pixels ({error})", remedy) from error
    return pixels


def _open(path: Path) -> DecodedImages | None:
    """Return the cache if it is whole; log its defects."""
    beside = path.with_suffix(".json")
    if not (path.exists() and beside.exists()):
        return None
    try:
        record = _Record.model_validate_json(beside.read_bytes())
        cause = None if _matches(path, record) else "its bytes do not match its checksum"
    except ValidationError as error:
        cause = f"{beside.name} is damaged ({error.error_count()} errors)"
    if cause is not None:
        logger.warning("%s: %s; its images are decoded again", path, cause)
        return None
    return DecodedImages(open_pixels(path), record.unreadable)


def _matches(path: Path, record: _Record) -> bool:
    with path.open("rb") as handle:
        return path.stat().st_size == record.size and hashlib.file_digest(handle, "sha256").hexdigest() == record.sha256


def _write(path: Path, images: ImageSource, wanted: Sequence[str], encoder: ImageTextEncoder) -> None:
    """Decode into a cache file slice by slice; written, not mapped: a full disk is an error then and not a crash."""
    unreadable: dict[str, str] = {}
    hasher, size = hashlib.sha256(), 0
    try:
        with replacing(path) as temporary, temporary.open("wb") as handle:
            shape = (len(wanted), 3, *_input_size(encoder))
            header = npy_header("|u1", shape)
            handle.write(header)
            hasher.update(header)
            for pixels in _slices(images, wanted, encoder, unreadable):
                handle.write(pixels.data)
                hasher.update(pixels.data)
            size = handle.tell()
        with replacing(path.with_suffix(".json")) as temporary:
            record = _Record(size=size, sha256=hasher.hexdigest(), unreadable=unreadable)
            temporary.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    except OSError as error:
        remedy = "Free disk space, or give the trainings another work_dir; the folder may be emptied at any time"
        raise StorageError(path, f"cannot be written ({error.strerror or error})", remedy) from error


def npy_header(kind: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of a ``.npy`` file of a shape; ``kind`` is numpy's name of the number type."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": kind, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def _slices(
    images: ImageSource, wanted: Sequence[str], encoder: ImageTextEncoder, unreadable: dict[str, str]
) -> Iterator[np.ndarray]:
    """Yield pixels of ``wanted``, uint8 [<= 128, 3, H, W] at a time, with zeros for ``unreadable`` images."""
    blank = np.zeros((3, *_input_size(encoder)), np.uint8)

    def decode_slice(ids: Sequence[str]) -> list[np.ndarray | str]:
        return [_attempt(image, encoder) for image in _read(images, ids)]

    slices = [wanted[start : start + _READ_AT_ONCE] for start in range(0, len(wanted), _READ_AT_ONCE)]
    progress = progress_bar(total=len(wanted), desc="decode images", disable=len(slices) <= 1)
    with progress, ThreadPoolExecutor(_THREADS) as pool:  # Pillow lets go of the interpreter while it works
        for start in range(0, len(slices), _THREADS):  # at most this many are in memory
            at_once = slices[start : start + _THREADS]
            for ids, results in zip(at_once, _results(pool, decode_slice, at_once), strict=True):
                unreadable.update({i: why for i, why in zip(ids, results, strict=True) if isinstance(why, str)})
                yield np.stack([blank if isinstance(result, str) else result for result in results])
                progress.update(len(ids))


def _results(
    pool: ThreadPoolExecutor,
    decode_slice: Callable[[Sequence[str]], list[np.ndarray | str]],
    slices: Sequence[Sequence[str]],
) -> list[list[np.ndarray | str]]:
    """Return the result of each slice; raise a damaged-shard error before the missing-image errors that it causes."""
    futures = [pool.submit(decode_slice, ids) for ids in slices]
    for future in futures:
        if isinstance(future.exception(), DamagedShardError):
            future.result()
    return [future.result() for future in futures]


def _attempt(image: Image.Image | Exception, encoder: ImageTextEncoder) -> np.ndarray | str:
    """Return an image's pixels, or the reason why there are none."""
    try:
        if isinstance(image, Exception):
            raise image
        return _to_bytes(image, encoder)
    except _UNREADABLE as error:
        check_picture_error(error)
        return f"{type(error).__name__}: {error}"


def _read(images: ImageSource, ids: Sequence[str]) -> Iterator[Image.Image | Exception]:
    """Read many images at once; if this fails, read them one by one to find the unreadable ones."""
    try:
        yield from images.read(list(ids))
        return
    except _UNREADABLE as error:
        logger.warning("reading %d images failed (%s); reading them one by one", len(ids), error)
    for identifier in ids:
        try:
            yield images.read([identifier])[0]
        except _UNREADABLE as error:
            yield error


def _to_bytes(image: Image.Image, encoder: ImageTextEncoder) -> np.ndarray:
    """Preprocess one image; undo the last step, the normalisation of x / 255, so that bytes can be kept."""
    mean, std = _normalisation(encoder)
    pixels = encoder.preprocess(to_rgb(image))
    stored: np.ndarray = ((pixels * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    return stored


def normalise(pixels: Tensor, encoder: ImageTextEncoder) -> Tensor:
    """Return the pixels in [0, 1], float [N, 3, H, W], as the model wants them, on its device."""
    mean, std = (t.to(encoder.device) for t in _normalisation(encoder))
    return (pixels.to(encoder.device) - mean) / std


def shown(pixels: np.ndarray, places: Tensor, encoder: ImageTextEncoder) -> Tensor:
    """Return some of uint8 [N, 3, H, W] as the model wants them, float [len(places), 3, H, W] on its device."""
    return normalise(gather(pixels, places).float() / 255, encoder)


def _normalisation(encoder: ImageTextEncoder) -> tuple[Tensor, Tensor]:
    """Return channel means and standard deviations [3, 1, 1] that the model's pixels are normalised with."""
    config = encoder.model.visual.preprocess_cfg
    return torch.tensor(config["mean"]).view(3, 1, 1), torch.tensor(config["std"]).view(3, 1, 1)


def _input_size(encoder: ImageTextEncoder) -> tuple[int, int]:
    """Return the height and width of the model's input."""
    size = encoder.model.visual.preprocess_cfg["size"]
    return (size, size) if isinstance(size, int) else tuple(size)
