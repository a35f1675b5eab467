"""A small knowledge base of files, and a tiny encoder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.attribution.embedding import Embedder
from cultureclip.attribution.settings import LinkSettings
from cultureclip.engine.keyed_store import KeyedStore
from tests.support.tiny_clip import write_tiny_clip

TEXT = "A thing of which a good deal is known."


def noise(seed: int, size: int = 24) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def entity_rows(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["entity_id", "name", "text", "picture"])


@pytest.fixture(scope="session")
def encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def settings(encoder_path: Path) -> LinkSettings:
    return LinkSettings(encoder=str(encoder_path), batch=4)


@pytest.fixture
def store(tmp_path: Path) -> KeyedStore:
    return KeyedStore(tmp_path / "store.sqlite")


@pytest.fixture
def embedder(settings: LinkSettings, store: KeyedStore) -> Embedder:
    return Embedder(settings, store)


@pytest.fixture
def pictures(tmp_path: Path) -> list[str]:
    """Paths of twelve noise pictures."""
    folder = tmp_path / "reference"
    folder.mkdir()
    paths = [folder / f"{seed:02}.png" for seed in range(12)]
    for seed, path in enumerate(paths):
        noise(seed).save(path)
    return list(map(str, paths))
