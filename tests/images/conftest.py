from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from cultureclip.images.generation import GenerationReport, GenerationSettings, generate_missing
from cultureclip.images.requests import Recipe, plan_requests
from cultureclip.images.store import ShardStore
from cultureclip.models.diffusers_files import fingerprint, scheduler_settings
from tests.support.captions import caption_table
from tests.support.tiny_models import TINY_CALL, write_tiny_sd3

TEXTS = [f"a red kimono with {count} white cranes" for count in range(6)]


@pytest.fixture(scope="session")
def tiny_sd3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_sd3(tmp_path_factory.mktemp("models") / "sd3")


@pytest.fixture(scope="session")
def recipe(tiny_sd3: Path) -> Recipe:
    return Recipe(fingerprint(tiny_sd3), scheduler_settings(tiny_sd3, None), TINY_CALL, "float32")


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
        settings = GenerationSettings(tiny_sd3, "cpu", "float32", None, TINY_CALL, batch_size, part_size)
        return generate_missing(requests, store, settings)

    return run
