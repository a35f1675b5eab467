"""Draw the data again: other captions and pictures of the same twins, trained on and evaluated, one folder per draw.

    python bench/draws.py [--project .] [--env test] [--draws 1 2 3 4] [--to data/draws] [--answers data]

Draw 0 is the project's own run. A draw takes as long as a default run, less what ``--answers`` holds: the language
model's answers of mining do not depend on the draw. The script can be stopped and started again: a finished draw is
left alone, an unfinished one goes on from what its stages stored. Then: ``kedro run --pipelines=variance``
(docs/draws.md). The last line is one JSON object: the seconds of each draw, null for one that was there.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from machine import describe_machine

STAGES = "mining,captioning,synthesis,filtering,train,evaluation"
KEPT_ANSWERS = "02_intermediate/mining_answers.sqlite"
RESULTS = ("predictions.parquet/*/predictions.parquet", "evaluation_run.json/*/evaluation_run.json")


def is_finished(folder: Path) -> bool:
    """Tell whether a draw's evaluation wrote what the decomposition reads."""
    return all(any((folder / "07_model_output").glob(pattern)) for pattern in RESULTS)


def write_config(project: Path, env: str | None, folder: Path, draw: int) -> Path:
    """Copy the project's config, with the draw's number and folder in the environment's globals."""
    config = folder / "conf"
    shutil.copytree(project / "conf", config, dirs_exist_ok=True)
    file = config / (env or "local") / "globals.yml"
    given = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else None
    file.write_text(yaml.safe_dump((given or {}) | {"data": str(folder), "draw": draw}), encoding="utf-8")
    return config


def run_draw(project: Path, env: str | None, folder: Path, draw: int, answers: Path | None) -> float | None:
    """Run one draw and return its seconds; None where it was there."""
    if is_finished(folder):
        return None
    kept = folder / KEPT_ANSWERS
    if answers is not None and (answers / KEPT_ANSWERS).exists() and not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(answers / KEPT_ANSWERS, kept)
    config = write_config(project, env, folder, draw)
    command = [sys.executable, "-m", "kedro", "run", f"--pipelines={STAGES}", f"--conf-source={config}"]
    started = time.perf_counter()
    done = subprocess.run([*command, *([f"--env={env}"] if env else [])], cwd=project, check=False)
    if done.returncode:
        raise SystemExit(f"draw {draw} stopped; start the script again to go on: it keeps what is stored in {folder}")
    return time.perf_counter() - started


def main() -> None:
    """Run all draws one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--env")
    parser.add_argument("--draws", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--to", type=Path, help="folder of the draws; by default <project>/data/draws")
    parser.add_argument("--answers", type=Path, help="folder of data whose answers of mining are used")
    options = parser.parse_args()
    project = options.project.resolve()
    target = (options.to or project / "data/draws").resolve()
    print(describe_machine())
    seconds: dict[int, float | None] = {}
    for draw in options.draws:
        seconds[draw] = run_draw(project, options.env, target / str(draw), draw, options.answers)
        print(f"draw {draw}: {'there already' if seconds[draw] is None else f'{seconds[draw]:.0f} s'}", flush=True)
    print(json.dumps({"seconds": {str(draw): value and round(value, 1) for draw, value in seconds.items()}}))


if __name__ == "__main__":
    main()
