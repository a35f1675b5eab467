"""How long ``kedro registry list`` takes here against an empty Kedro project, in turn; budget: 1.2 x.

A third project registers the same pipelines built, as Kedro does by itself: it says what building them late saves.

    python bench/start.py [--runs 10]

Prints a table and, as its last line, one JSON object.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUDGET = 1.2
PYPROJECT = """[tool.kedro]
package_name = "{name}"
project_name = "{name}"
kedro_init_version = "1.7.0"
source_dir = "src"
"""


EMPTY = """from kedro.pipeline import Pipeline


def register_pipelines():
    return {"__default__": Pipeline([])}
"""
BUILT = """from cultureclip import pipeline_registry


def register_pipelines():
    pipelines = pipeline_registry.register_pipelines()
    return {name: pipeline for name, pipeline in pipelines.items() if pipeline.nodes}
"""


def make_project(folder: Path, registry: str, settings: str = "") -> Path:
    package = folder / "src" / folder.name
    package.mkdir(parents=True)
    (folder / "conf").symlink_to(ROOT / "conf")
    (folder / "pyproject.toml").write_text(PYPROJECT.format(name=folder.name))
    (folder / ".telemetry").write_text("consent: false\n")
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text(settings)
    (package / "pipeline_registry.py").write_text(registry)
    return folder


def seconds(project: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "kedro", "registry", "list"], cwd=project, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        projects = {
            "empty": make_project(Path(folder) / "empty", EMPTY),
            "cultureclip": ROOT,
            "all built": make_project(Path(folder) / "built", BUILT, "from cultureclip.settings import *\n"),
        }
        times: dict[str, list[float]] = {name: [] for name in projects}
        for number in range(runs + 1):
            for name, project in projects.items():
                taken = seconds(project)
                if number:  # the first run fills the caches of the disk and of Python
                    times[name].append(taken)
    for name, taken in times.items():
        print(f"{name:12} median {statistics.median(taken):.2f} s, least {min(taken):.2f}, most {max(taken):.2f}")
    ratio, built = (
        round(statistics.median(times[name]) / statistics.median(times["empty"]), 3)
        for name in ("cultureclip", "all built")
    )
    print(json.dumps({"ratio": ratio, "ratio_all_built": built, "budget": BUDGET, "runs": runs}))


if __name__ == "__main__":
    main()
