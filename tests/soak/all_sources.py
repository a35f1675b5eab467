"""Run mining of ``--env=paper`` on the small models with every source that reads an owner's file, and print counts.

Each file is a small one in its owner's schema. The model that names concepts (``top_down``) is left out.

    python tests/soak/all_sources.py

The last line is one JSON object: source -> rows, concepts, rows left out.
"""

import bz2
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_sources(folder: Path) -> list[dict[str, Any]]:
    """Write a file of each owner and return the list of sources."""
    wit = "language\tpage_url\timage_url\tpage_title\tcontext_page_description\n"
    wit += "en\thttps://en.wikipedia.org/wiki/Happi\thttps://x.example/a.jpg\tHappi\t"
    wit += "The happi is a traditional Japanese garment.\n"
    entity = {"type": "item", "id": "Q1", "labels": {"en": {"language": "en", "value": "gumbo"}}, "claims": {}}
    for prop, value in (("P31", "Q746549"), ("P495", "Q30")):
        snak = {"snaktype": "value", "datavalue": {"type": "wikibase-entityid", "value": {"id": value}}}
        entity["claims"][prop] = [{"mainsnak": snak, "rank": "normal"}]  # type: ignore[index]
    cube = [{"id": "Q243", "name": "Eiffel Tower", "country": "France", "domain": "landmarks"}]
    cunit = "title,country,link,occasion description,occasion\n,,,,wedding\nJambalaya,America,,,TRUE\n"
    marvl = json.dumps({"concept": "5-Burung Kakatua", "language": "id", "chapter": "Animal"}) + "\n"
    ground = json.dumps({"id": "Q1_0", "language": "en", "conversations": []}) + "\n"
    cuisines = "Name,Alias,Coarse-grained categories,Fine-grained categories,Countries,Text Description,"
    cuisines += "Image1 License,Image1 name / URL\n"
    cuisines += """Rawon,[],"['soup']","['soup']","['Indonesia']",A black soup.,CC0,https://x.example/b.jpg\n"""
    own = {"kind": "csv", "title": "mine", "licence": "MIT", "terms": "train", "categories": {"dish": "Cuisine"}}
    own |= {"columns": {"name": "Dish", "countries": "From", "category": "Type"}}
    write(folder / "dosa/assam/original_artifacts.csv", "artifact,clues\nbihu dance,of the spring festival\n")
    return [
        {"kind": "atlas"},
        own | {"path": write(folder / "own.csv", "Dish,From,Type\nkimchi,KR,dish\nborscht,Ukraine,dish\n")},
        {"kind": "wit", "path": write(folder / "wit.tsv.gz", gzip.compress(wit.encode()))},
        {
            "kind": "wikidata",
            "path": write(folder / "w.json.bz2", bz2.compress(f"[\n{json.dumps(entity)}\n]\n".encode())),
            "categories": {"Q746549": "Cuisine"},
            "countries": {"Q30": ["US"]},
        },
        {"kind": "dosa", "path": str(folder / "dosa")},
        {"kind": "worldcuisines", "path": write(folder / "final_data.csv", cuisines)},
        {"kind": "marvl", "path": write(folder / "marvl-id.jsonl", marvl)},
        {"kind": "cube", "path": write(folder / "cube_1k.json", json.dumps(cube))},
        {"kind": "cunit", "path": write(folder / "food_concepts.csv", cunit)},
        {"kind": "cultural_ground", "path": write(folder / "south_korea_refined.jsonl", ground)},
    ]


def edit(file: Path, change: dict[str, Any], stage: str | None = None) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    (content[stage] if stage else content).update(change)
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        project = Path(made)
        for name in ("pyproject.toml", ".telemetry"):  # without the second, Kedro would report the run
            shutil.copy(ROOT / name, project)
        shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
        for part in ("src", "conf/local"):
            (project / part).mkdir(parents=True)
        write(project / "data/01_raw/atlas.csv", (ROOT / "data/01_raw/atlas.csv").read_bytes())
        models = {name: str(WEIGHTS / name) for name in ("judge", "base_clip", "vision_judge")}
        edit(project / "conf/paper/globals.yml", models)
        parameters = project / "conf/paper/parameters.yml"
        small: dict[str, Any] = {"bottom_up": {"enabled": False, "checks": []}, "device": "cpu"}
        small["sources"] = write_sources(project / "files")
        small["twins"] = {"picture_size": 48, "views": {"other": []}}
        edit(parameters, small, "mining")
        command = [sys.executable, "-m", "kedro", "run", "--env=paper", "--pipelines=mining"]
        subprocess.run(command, cwd=project, env=os.environ | {"HF_HUB_OFFLINE": "1"}, check=True, timeout=500)
        (file,) = (project / "data/paper/08_reporting/source_report.json").glob("*/*.json")
        report = json.loads(file.read_text(encoding="utf-8"))["sources"]
        print(json.dumps({each["kind"]: [each["rows"], each["concepts"], each["dropped"]] for each in report}))


if __name__ == "__main__":
    main()
