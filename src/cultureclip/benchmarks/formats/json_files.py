"""Benchmarks whose texts are JSON and whose pictures are files in a folder: Karpathy's splits, and SugarCrepe."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cultureclip.benchmarks.pictures import FileIn
from cultureclip.benchmarks.rows import Format, Row, Source
from cultureclip.errors import SourceDataError
from cultureclip.reading.json_text import read_object
from cultureclip.reading.text import MAX_DATA_BYTES, RefusedError


class KarpathyFormat(Format):
    """Karpathy's splits of COCO, Flickr30k and Flickr8k: ``images[].{filename, filepath, split, sentences}``.

    A row's columns are ``image`` and ``captions``, the raw sentences.
    """

    type: Literal["karpathy"]
    annotations: str = Field(min_length=1, description="The JSON file, e.g. dataset_coco.json")
    pictures: str = Field(default="", description="Folder of the pictures (of COCO: of val2014 and train2014)")
    split: str = Field(default="test", min_length=1)

    def pattern(self) -> str:
        """Return the file of annotations."""
        return self.annotations

    def read(self, path: Path) -> Source:
        """Return the pictures of a split, each with all its sentences.

        Raises:
            SourceDataError: if there is no such split in the file.
        """
        file = self.find(path)[0]
        images = _read_json(file).get("images")
        if not isinstance(images, list):
            raise SourceDataError(file, "it has no list of images", "Give one of Karpathy's dataset_*.json")
        chosen = [image for image in images if isinstance(image, dict) and image.get("split") == self.split]
        if not chosen:
            raise SourceDataError(file, f"no image of the split {self.split!r}", "Name one that the file has")
        return Source(self._make_row(image, path / self.pictures) for image in chosen)

    def _make_row(self, image: Mapping[str, Any], folder: Path) -> Row:
        name = "/".join(str(image[part]) for part in ("filepath", "filename") if image.get(part))
        sentences = image.get("sentences")
        listed = sentences if isinstance(sentences, list) else []
        captions = [sentence.get("raw") for sentence in listed if isinstance(sentence, dict)]
        return Row(name or "an image without a name", {"captions": captions}, {"image": (FileIn(folder, name),)})


class SugarCrepeFormat(Format):
    """SugarCrepe's subsets, one JSON file each: ``{"0": {"filename", "caption", "negative_caption"}, ...}``.

    A row's columns are ``image``, ``caption``, ``negative_caption`` and ``subset``, the file's name.
    """

    type: Literal["sugarcrepe"]
    annotations: str = Field(default="*_*.json", min_length=1, description="Glob of the subsets")
    pictures: str = Field(default="", description="Folder of the pictures: COCO's val2017")

    def pattern(self) -> str:
        """Return the subsets' files."""
        return self.annotations

    def read(self, path: Path) -> Source:
        """Return the rows of all subsets."""
        return Source(row for file in self.find(path) for row in self._read_subset(file, path / self.pictures))

    def _read_subset(self, file: Path, folder: Path) -> Iterator[Row]:
        for key, record in _read_json(file).items():
            fields = record if isinstance(record, dict) else {}
            values = {name: fields.get(name) for name in ("caption", "negative_caption")}
            image = FileIn(folder, str(fields.get("filename") or ""))
            yield Row(f"{file.name}, {key}", values | {"subset": file.stem}, {"image": (image,)})


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return read_object(file, MAX_DATA_BYTES)
    except (OSError, RefusedError) as error:
        raise SourceDataError(file, f"it cannot be used ({error})", "Fetch it again") from error
