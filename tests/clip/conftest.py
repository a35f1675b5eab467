"""Rows and images of twins small enough to train on in a second."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cultureclip.clip.contracts import GeneralPairs
from cultureclip.ids import bytes_digest, digest
from cultureclip.models.encoder import ImageTextEncoder, load_encoder
from tests.clip.trainings import train
from tests.support.tiny_clip import write_tiny_clip

COLOURS = {"kimono": (200, 40, 60), "taco": (230, 190, 60), "torii": (180, 30, 20), "flag of Chad": (20, 40, 160)}
SIZE = 16


class PngImages:
    """Images kept as PNG bytes by id; bytes that are no image raise as Pillow does."""

    def __init__(self, data: dict[str, bytes]) -> None:
        self.data, self.reads = data, 0

    @property
    def ids(self) -> list[str]:
        return sorted(self.data)

    def checksums(self, ids: list[str]) -> list[str]:
        return [bytes_digest(self.data.get(i, b"")) for i in ids]

    def read(self, ids: list[str]) -> list[Image.Image]:
        self.reads += 1
        images = [Image.open(io.BytesIO(self.data[i])) for i in ids]
        for image in images:
            image.load()
        return images


def picture(concept: str, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    pixels = np.array(COLOURS[concept]) + rng.integers(-15, 15, (SIZE, SIZE, 3))
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def make_rows(train: int = 12, dev: int = 4) -> tuple[pd.DataFrame, PngImages]:
    """``train`` + ``dev`` rows over two kinds of twins (kimono-taco, torii-flag), each split with twins of its own."""
    pairs = [("kimono", "taco"), ("torii", "flag of Chad")]
    rows, images = [], {}
    for number in range(train + dev):
        split = "train" if number < train else "dev"
        row: dict[str, str] = {
            "row_id": digest("row", number),
            "twin_id": digest("twin", split, number % 2),
            "split": split,
            "licence": "CC-BY-SA-4.0",
        }
        for side, concept in zip(("pos", "neg"), pairs[number % 2], strict=True):
            image_id = digest("image", number, side)
            images[image_id] = picture(concept, number)
            row |= {
                f"{side}_concept": concept,
                f"{side}_concept_id": digest(concept),
                f"{side}_caption": f"a red {concept} in the picture" if number % 3 else f"{concept} of silk",
                f"{side}_caption_id": digest("caption", number, side),
                f"{side}_image_id": image_id,
            }
        rows.append(row)
    return pd.DataFrame(rows), PngImages(images)


def general_pairs() -> GeneralPairs:
    """Six pictures of one colour each, with a text."""
    colours = ("red", "green", "blue", "white", "black", "yellow")
    pictures = {}
    for colour in colours:
        buffer = io.BytesIO()
        Image.new("RGB", (SIZE, SIZE), colour).save(buffer, "PNG")
        pictures[digest(colour)] = buffer.getvalue()
    return GeneralPairs({digest(c): f"a picture of {c}" for c in colours}, PngImages(pictures))


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("base"))


@pytest.fixture
def encoder(base_folder: Path) -> ImageTextEncoder:
    return load_encoder(base_folder)


@pytest.fixture
def rows_and_images() -> tuple[pd.DataFrame, PngImages]:
    return make_rows()


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def undisturbed(base_folder, tmp_path):
    """A training that nothing stopped: its checkpoint and its log."""
    return train(*make_rows(), base_folder, tmp_path / "undisturbed")
