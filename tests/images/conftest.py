from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from cultureclip.images.generation import GenerationReport, generate_missing
from cultureclip.images.requests import Recipe, plan_requests, read_recipe
from cultureclip.images.store import ShardStore
from tests.support.captions import caption_table
from tests.support.tiny_models import tiny_settings, write_tiny_sd3

TEXTS = [f"a red kimono with {count} white cranes" for count in range(6)]


@pytest.fixture(scope="session")
def tiny_sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sd3(tmp_path_factory.mktemp("models") / "sd3")


@pytest.fixture(scope="session")
def recipe(tiny_sd3: Path) -> Recipe:
    return read_recipe(tiny_settings(tiny_sd3))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def requests(recipe: Recipe) -> pd.DataFrame:
    return plan_requests(caption_table(TEXTS), recipe, images_per_caption=4, shard_digits=1)


@pytest.fixture
def generate(tiny_sd3: Path) -> Callable[..., GenerationReport]:
    def run(requests: pd.DataFrame, store: ShardStore, batch_size: int = 2, part_size: int = 2) -> GenerationReport:
        return generate_missing(requests, store, tiny_settings(tiny_sd3, batch_size=batch_size, part_size=part_size))

    return run
