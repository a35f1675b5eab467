"""How long ``kedro registry list`` takes here against an empty Kedro project, in turn; budget: 1.2 x.

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
package_name = "empty"
project_name = "empty"
kedro_init_version = "1.7.0"
source_dir = "src"
"""


def make_empty_project(folder: Path) -> Path:
    package = folder / "src/empty"
    package.mkdir(parents=True)
    (folder / "conf/base").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / ".telemetry").write_text("consent: false\n")
    (package / "__init__.py").write_text("")
    (package / "settings.py").write_text("")
    (package / "pipeline_registry.py").write_text(
        "from kedro.pipeline import Pipeline\n\n\ndef register_pipelines():\n    return {'__default__': Pipeline([])}\n"
    )
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
        projects = {"empty": make_empty_project(Path(folder)), "cultureclip": ROOT}
        times: dict[str, list[float]] = {name: [] for name in projects}
        for number in range(runs + 1):
            for name, project in projects.items():
                taken = seconds(project)
                if number:  # the first run fills the caches of the disk and of Python
                    times[name].append(taken)
    for name, taken in times.items():
        print(f"{name:12} median {statistics.median(taken):.2f} s, least {min(taken):.2f}, most {max(taken):.2f}")
    ratio = statistics.median(times["cultureclip"]) / statistics.median(times["empty"])
    print(json.dumps({"ratio": round(ratio, 3), "budget": BUDGET, "runs": runs}))


if __name__ == "__main__":
    main()
