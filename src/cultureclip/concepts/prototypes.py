"""Prototypes: a concept's look is the mean of its pictures' embeddings, made in slices and kept by picture and encoder.

Pictures are read one after another. An embedding is kept under the picture's pixels, the views that it is a mean over
and the fingerprint of the encoder, so a rerun embeds new pictures alone, and another encoder finds nothing.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from cultureclip.concepts.looks import embed_pictures, read_pictures
from cultureclip.concepts.settings import TwinSettings, View
from cultureclip.engine.disk import cannot_write
from cultureclip.engine.job import Job, Slice, slice_name
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.engine.progress import progress_bar
from cultureclip.engine.run import SharedWork
from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.engine.temporary import remove, sweep, temporary_beside
from cultureclip.ids import bytes_digest, digest
from cultureclip.models.weights.fingerprint import fingerprint
from cultureclip.pictures.registry import MOST_STYLES, find_scheme
from cultureclip.settings_base import Device

_AT_ONCE = 256
_PHOTOGRAPH_VIEWS = ("left_right",)
"""Views that a picture file may have: nobody sees a house upside down."""


class Seen(NamedTuple):
    """A picture, uint8 [H, W, 3], and the views of it that count beside the upright one."""

    pixels: np.ndarray
    views: tuple[View, ...]


def choose_views(reference: str, kind: str, views: Mapping[str, Sequence[View]]) -> tuple[View, ...]:
    """Return the views of a picture: those of its kind; of a file, which may be a photograph, none that turns it over.

    Args:
        reference: Of a scheme, which is a drawing, or the path of a file.
        kind: Of the concept.
        views: Kind -> views; a kind that is not named has none.
    """
    of_kind = tuple(views.get(kind, ()))
    return of_kind if find_scheme(reference) else tuple(view for view in of_kind if view in _PHOTOGRAPH_VIEWS)


def list_references(
    concepts: pd.DataFrame, sources: pd.DataFrame, most: int, files: Mapping[str, str]
) -> dict[str, list[str]]:
    """Return the pictures of each concept that has any: its reference picture, other files, fetched ones, each once.

    Args:
        concepts: Table ``concepts``.
        sources: Table ``concept_sources``, whose rows give files and addresses of pictures.
        most: Pictures of one concept.
        files: Address -> file of a picture that was fetched.

    Returns:
        Concept id -> references, in the order of the concepts.
    """
    named: dict[str, list[str]] = defaultdict(list)
    fetched: dict[str, list[str]] = defaultdict(list)
    given = sources[["concept_id", "reference_images", "picture_url"]]
    for concept, own, address in given.itertuples(index=False):
        named[concept] += own
        if address in files:
            fetched[concept].append(files[address])
    found = {}
    for concept, own in zip(concepts["concept_id"], concepts["reference_image"], strict=True):
        first = [own] if isinstance(own, str) else []
        others = (*named.get(concept, ()), *fetched.get(concept, ()))
        if references := list(dict.fromkeys([*first, *others]))[:most]:
            found[concept] = references
    return found


class PictureReader:
    """Reads the pictures of concepts one after another, and keeps each first one on the disk in all drawing styles.

    Args:
        references: Concept -> its pictures, from :func:`list_references`.
        kind_of: Concept -> kind.
        settings: Size and views.
        folder: Where first pictures are kept.
    """

    def __init__(
        self, references: Mapping[str, Sequence[str]], kind_of: Mapping[str, str], settings: TwinSettings, folder: Path
    ) -> None:
        self._references, self._kind_of, self._settings = references, kind_of, settings
        shape = (len(references), settings.picture_size, settings.picture_size, 3)
        self.styles: list[np.ndarray] = [
            np.lib.format.open_memmap(folder / f"{style}.npy", mode="w+", dtype=np.uint8, shape=shape)
            for style in range(MOST_STYLES)
        ]

    @property
    def concepts(self) -> list[str]:
        """The concept of each picture."""
        return [concept for concept, own in self._references.items() for _ in own]

    def __iter__(self) -> Iterator[Seen]:
        """Yield every picture in its first style, concept by concept."""
        for place, concept in enumerate(progress_bar(self._references, desc="draw concepts")):
            for number, reference in enumerate(self._references[concept]):
                drawn = read_pictures(reference, self._settings.picture_size)
                if number == 0:
                    for style, pixels in zip(self.styles, drawn, strict=True):
                        style[place] = pixels
                yield Seen(drawn[0], choose_views(reference, self._kind_of[concept], self._settings.views))


class PictureEmbedder:
    """Embeds pictures that the store does not have.

    Args:
        judge: Folder of the encoder of the pictures; it is loaded if a picture is new.
        device: Device of the encoder.
        store: Gets the embeddings, one slice at a time.
        engine: Where pictures are embedded, and shared with whom.
    """

    def __init__(self, judge: Path, device: Device, store: KeyedStore, engine: EngineSettings = HERE) -> None:
        self._store, self._engine = store, engine
        self._make_worker = partial(_Look, judge, device, store)
        self.fingerprint = fingerprint(judge)

    def embed(self, pictures: Iterable[Seen]) -> Iterator[np.ndarray]:
        """Yield the L2-normalised embedding of each picture, float32 [D].

        The pictures lie in a file beside the store meanwhile, for the workers to read; a slice of them is in memory.
        """
        spool = temporary_beside(self._store.path.with_name("looks"))
        sweep(spool.parent, "looks.")
        try:
            rows, shape = self._write(pictures, spool)
            work = SharedWork(self._engine, "looks", digest("looks", [row.key for row in rows]))
            slices = list(self._cut(rows, spool, shape))
            missing = sum(piece.items for piece in slices)
            job = Job("pictures", slices, self._make_worker, (__name__, "cultureclip.models.encoder"))
            with progress_bar(total=missing, desc="embed pictures", disable=not missing) as bar:
                for embedded in work.run(job):
                    bar.update(embedded)
        finally:
            remove(spool)
        for part in _parts(rows):
            known = self._store.get(row.key for row in part)
            yield from (_to_vector(known[row.key]) for row in part)

    def _write(self, pictures: Iterable[Seen], spool: Path) -> tuple[list["_Row"], tuple[int, ...]]:
        rows, shape = [], ()
        try:
            with spool.open("wb") as file:
                for place, seen in enumerate(pictures):
                    pixels, shape = np.ascontiguousarray(seen.pixels).tobytes(), seen.pixels.shape
                    views = sorted(seen.views)
                    key = digest("look", bytes_digest(pixels), seen.pixels.shape, views, self.fingerprint)
                    rows.append(_Row(key, place, seen.views))
                    file.write(pixels)
        except OSError as error:
            raise cannot_write(spool, error) from error
        return rows, (len(rows), *shape)

    def _cut(self, rows: Sequence["_Row"], spool: Path, shape: tuple[int, ...]) -> Iterator[Slice["_Pictures"]]:
        """Cut all pictures into slices, and keep in each those that are new; a picture that comes again is not."""
        taken: set[str] = set()
        for part in _parts(rows):
            known = self._store.get(row.key for row in part).keys() | taken
            if new := {row.key: row for row in part if row.key not in known}:
                taken |= new.keys()
                name = slice_name(row.key for row in part)
                yield Slice(name, _Pictures(spool, shape, tuple(new.values())), len(new))


class _Row(NamedTuple):
    """A picture: its key in the store, its place in the file, and its views."""

    key: str
    place: int
    views: tuple[View, ...]


class _Pictures(NamedTuple):
    """Some pictures of a file of uint8 [N, H, W, 3]."""

    file: Path
    shape: tuple[int, ...]
    rows: tuple[_Row, ...]


class _Look:
    """Embeds slices of pictures, those of the same views together.

    Args:
        judge: Folder of the encoder.
        device: Device of the stage.
        store: Gets the embeddings.
        own: Device of the process, if it has its own.
    """

    def __init__(self, judge: Path, device: Device, store: KeyedStore, own: Device | None) -> None:
        from cultureclip.models.encoder import load_encoder

        self._encoder, self._store = load_encoder(judge, own or device), store

    def __call__(self, task: _Pictures) -> Iterator[int]:
        """Embed the pictures of a slice; yields their number."""
        pixels = np.memmap(task.file, np.uint8, "r", shape=task.shape)
        by_views: dict[tuple[View, ...], list[_Row]] = defaultdict(list)
        for row in task.rows:
            by_views[row.views].append(row)
        found: dict[str, str] = {}
        for views, rows in by_views.items():
            vectors = embed_pictures(self._encoder, pixels[[row.place for row in rows]], views)
            found |= {row.key: _to_text(vector) for row, vector in zip(rows, vectors, strict=True)}
        self._store.put(found)
        yield len(found)


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def see(pictures: Iterable[Image.Image], size: int) -> Iterator[Seen]:
    """Yield generated pictures as they are, which are as upright as photographs."""
    for picture in pictures:
        yield Seen(np.asarray(ImageOps.pad(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)), ())


def average_looks(concepts: Iterable[str], vectors: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return each concept's look: the normalised mean of its pictures' embeddings.

    Args:
        concepts: Concept of each picture.
        vectors: L2-normalised embeddings of the pictures, in the same order.

    Returns:
        Concept -> float32 [D].
    """
    sums: dict[str, np.ndarray] = {}
    for concept, vector in zip(concepts, vectors, strict=True):
        sums[concept] = sums[concept] + vector if concept in sums else vector
    return {concept: (total / np.linalg.norm(total)).astype(np.float32) for concept, total in sums.items()}


def _to_text(vector: np.ndarray) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _to_vector(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
