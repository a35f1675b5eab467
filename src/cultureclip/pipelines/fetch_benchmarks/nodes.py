"""Node of the fetch_benchmarks pipeline."""

import logging
from pathlib import Path
from typing import Any

from cultureclip.pipelines.fetch_benchmarks.parameters import FetchBenchmarksParameters

logger = logging.getLogger(__name__)


def fetch_benchmarks(parameters: FetchBenchmarksParameters) -> list[dict[str, Any]]:
    """Download every listed benchmark that is missing; list those that a person must fetch.

    Returns:
        Name, folder, status, revision and note of each.

    Raises:
        ConfigurationError: if something would have to be downloaded, and HF_HUB_OFFLINE is set.
        DownloadError: if a download failed. Those before it are complete: a second run goes on from there.
    """
    from cultureclip.benchmarks.downloads.fetch import fetch_benchmark

    results = []
    for name in parameters.benchmarks:
        results.append(fetch_benchmark(name, parameters.origins[name], Path(parameters.folder) / name))
        logger.info("Benchmark %s: %s %s", name, results[-1]["status"], results[-1]["note"])
    return results
