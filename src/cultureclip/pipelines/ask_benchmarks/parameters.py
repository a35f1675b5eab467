"""Parameters of the benchmarks that chat models are asked."""

from pydantic import Field

from cultureclip.benchmarks.asking.settings import AskingSettings
from cultureclip.concepts.exclusions import Excluding
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.pipelines.evaluation.parameters import FurtherModelName


class AskBenchmarksParameters(AskingSettings, Excluding):
    """Benchmarks, models and tests; ``parameters_ask_benchmarks.yml`` explains each field."""

    benchmarks: list[str] = Field(min_length=1)
    base_model: ChatSettings
    models: dict[FurtherModelName, ChatSettings] = Field(default_factory=dict)
    image_size: int = Field(ge=16, le=1024)
    resamples: int = Field(ge=200, le=100_000)
