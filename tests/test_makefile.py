"""``make clean`` in a copy of the project's folders."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_clean_spares_what_comes_from_outside(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    kept = [
        "01_raw/atlas.csv",
        "01_raw/benchmarks/coco/val2014.zip",
        "01_raw/benchmarks/own/a.png",
        "04_feature/.gitkeep",
    ]
    made = ["04_feature/x.parquet", "06_models/train_a/checkpoint/1/x", "paper/03_primary/y", "test/03_primary/z/1/z"]
    made += ["08_reporting/report/latest/index.html"]
    for name in kept + made:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text("x")
    (tmp_path / "data/01_raw/benchmarks/empty").mkdir()
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    left = sorted(str(p.relative_to(tmp_path / "data")) for p in (tmp_path / "data").rglob("*"))
    assert [name for name in left if (tmp_path / "data" / name).is_file()] == sorted(kept)
    folders = ["01_raw", "01_raw/benchmarks", "01_raw/benchmarks/coco", "01_raw/benchmarks/empty"]
    assert [name for name in left if (tmp_path / "data" / name).is_dir()] == [
        *folders,
        "01_raw/benchmarks/own",
        "04_feature",
    ]
