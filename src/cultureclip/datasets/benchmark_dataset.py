"""A benchmark from files in its owner's format, as a Kedro dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from cultureclip.errors import ConfigurationError

if TYPE_CHECKING:  # kedro-viz and listings need the catalog without the readers of benchmarks
    from cultureclip.benchmarks.protocols.benchmark import Benchmark
    from cultureclip.benchmarks.published import AbsentBenchmark


class BenchmarkDataset(AbstractDataset[NoReturn, "Benchmark | AbsentBenchmark"]):
    """Loads a benchmark whose pictures stay on disk. An absent benchmark is reported and is not an error.

    A picture is decoded at the first load. Later loads only look whether its file has changed, where ``kept`` is given.

    Example:
        .. code-block:: yaml

            benchmark_crope-photos:
              type: cultureclip.datasets.benchmark_dataset.BenchmarkDataset
              filepath: data/01_raw/benchmarks/crope-photos
              name: crope-photos
              title: CROPE
              protocol: crope
              format: {type: parquet, files: "data/test-*.parquet"}
              source: https://huggingface.co/datasets/Malvinan/CROPE
              licence: CC-BY-4.0
              kept: data/02_intermediate/benchmark_pictures.sqlite
    """

    def __init__(
        self, *, filepath: str, kept: str | None = None, metadata: dict[str, Any] | None = None, **entry: Any
    ) -> None:
        """Name the benchmark.

        Args:
            filepath: Folder or file of the benchmark; need not exist.
            kept: File of what loads found out about pictures; made if it is missing, and benchmarks may share one.
                None: every load decodes every picture.
            metadata: Anything, kept for plugins.
            entry: The fields of :class:`cultureclip.benchmarks.entry.Entry`.

        Raises:
            ConfigurationError: if fields are unknown, missing or wrong.
        """
        from pydantic import ValidationError

        from cultureclip.benchmarks.entry import Entry

        self._filepath, self._kept = Path(filepath), None if kept is None else Path(kept)
        self.metadata = metadata
        try:
            self._entry = Entry(**entry)
        except ValidationError as error:
            places = [".".join(map(str, wrong["loc"])) or "entry" for wrong in error.errors()]
            fields = "; ".join(f"{place}: {e['msg']}" for place, e in zip(places, error.errors(), strict=True))
            raise ConfigurationError(f"catalog entry of {filepath}", fields, "See docs/benchmarks.md") from error

    def load(self) -> "Benchmark | AbsentBenchmark":
        """Return the benchmark, or the name of the missing files.

        Raises:
            SourceDataError: if the files are damaged.
            StorageError: if ``kept`` cannot be read or written.
        """
        from cultureclip.benchmarks.published import open_benchmark

        return open_benchmark(self._entry, self._filepath, self._kept)

    def save(self, data: NoReturn) -> NoReturn:  # noqa: ARG002 - Kedro's signature
        """Refuse to save.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(
            f"{self}: a benchmark is not made by a node. Fetch it: kedro run --pipelines=fetch_benchmarks"
        )

    def _exists(self) -> bool:
        return True  # one that is not there is reported as absent

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "name": self._entry.name, "protocol": self._entry.protocol}
