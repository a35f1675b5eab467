"""Parameters of the fetch_benchmarks pipeline."""

from pydantic import Field, model_validator

from cultureclip.benchmarks.downloads.origins import Origin
from cultureclip.settings_base import Settings


class FetchBenchmarksParameters(Settings):
    """Benchmarks to fetch, their origins, and the folder that gets one folder per benchmark."""

    folder: str = Field(min_length=1)
    benchmarks: list[str]
    origins: dict[str, Origin]

    @model_validator(mode="after")
    def _check_names(self) -> "FetchBenchmarksParameters":
        if unknown := sorted(set(self.benchmarks) - set(self.origins)):
            raise ValueError(f"no origin of {', '.join(unknown)}; there are {', '.join(self.origins)}")
        return self
