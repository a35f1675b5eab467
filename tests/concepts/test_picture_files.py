"""Several pictures of a concept in files: how cells and folders name them, for every source, and the look over them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cultureclip.concepts.atlas import read_concepts
from cultureclip.concepts.picture_files import PictureFolders, find_pictures
from cultureclip.concepts.prototypes import list_references
from cultureclip.engine.keyed_store import KeyedStore
from cultureclip.errors import SourceDataError
from cultureclip.images.store import ShardStore
from cultureclip.models.encoder import load_encoder
from cultureclip.pipelines.mining.nodes import embed_looks
from cultureclip.pipelines.mining.parameters import MiningParameters
from tests.concepts.sources.support import ATLAS, dropped, gather
from tests.support.parameters import change_stage
from tests.support.tiny_clip import write_tiny_clip

HEADER = "name,cultures,universal,category,context,key_visual_features,source,source_ref,reference_image"


def draw(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def own_csv(folder: Path, *rows: str, **changes: Any) -> dict[str, Any]:
    (folder / "own.csv").write_text("\n".join(["Dish,From,Note,Looks,Files", *rows]), encoding="utf-8")
    columns = {"name": "Dish", "countries": "From", "context": "Note", "features": "Looks", "reference_image": "Files"}
    about = {"title": "mine", "licence": "MIT", "terms": "train", "columns": columns, "separator": ";"}
    given = {"categories": {"dish": "Cuisine"}, "always": {"category": "dish"}}
    return {"kind": "csv", "path": str(folder / "own.csv")} | about | given | changes


def atlas_csv(folder: Path, cell: str) -> dict[str, Any]:
    facts = "KR,dress,Clothing,A dress of Korea.,short jacket,a book,p. 1"
    (folder / "atlas.csv").write_text(f"{HEADER}\nhanbok,{facts},{cell}\n", encoding="utf-8")
    return {"kind": "atlas", "path": str(folder / "atlas.csv")}


def test_a_folder_stands_for_its_pictures_by_name_and_for_nothing_else(tmp_path: Path) -> None:
    expected = [str(draw(tmp_path / name, 0)) for name in ("10.JPG", "2.png", "3.webp")]
    draw(tmp_path / "below/1.png", 1)
    (tmp_path / "notes.txt").touch()
    assert find_pictures(str(tmp_path)) == expected
    assert find_pictures(expected[1]) == [expected[1]]
    assert find_pictures(str(tmp_path / "none")) == []
    assert find_pictures("\0") == []


def test_a_cell_names_files_and_folders_each_picture_once(tmp_path: Path) -> None:
    one = draw(tmp_path / "hanbok.jpg", 1)
    more = [draw(tmp_path / f"more/{number}.png", number) for number in (2, 3)]
    wanted = [str(one), *map(str, more)]
    for source in (
        atlas_csv(tmp_path, f"{one} | {tmp_path}/more | {more[0]}"),
        own_csv(tmp_path, f"bibimbap,KR,n,l,{one};{tmp_path}/more;{more[0]}"),
    ):
        gathered = gather(source)
        assert gathered.concepts["reference_image"].to_list() == wanted[:1]
        assert gathered.sources["reference_images"].to_list() == [wanted]
        references = list_references(gathered.concepts, gathered.sources, 2, {})
        assert list(references.values()) == [wanted[:2]]


def test_missing_files_are_named(tmp_path: Path) -> None:
    there = draw(tmp_path / "a.png", 1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceDataError, match=r"line 2 \('hanbok'\): reference_image: no file 'x.png', '.*/empty'"):
        gather(atlas_csv(tmp_path, f"{there} | x.png | {tmp_path}/empty"))
    rows = (f"a,KR,n,l,{there};gone.png", f"b,KR,n,l,{there}", "c,KR,n,l,also-gone.png")
    gathered = gather(own_csv(tmp_path, *rows))
    assert dropped(gathered) == {"picture file is missing": 2}
    report = gathered.report["sources"][0]["not_understood"]
    assert report["picture file is missing"] == {"gone.png": 1, "also-gone.png": 1}


def test_every_source_may_have_a_folder_of_pictures_for_each_thing(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    kimchi = [str(draw(pictures / f"KimchI/{number}.png", number)) for number in (1, 2)]
    borsch = str(draw(pictures / "borsch/1.png", 3))
    kimono = str(draw(pictures / "kimono/1.png", 4))
    draw(pictures / "pirogi/1.png", 5)
    (pictures / "pho").mkdir()
    folder = {"pictures": str(pictures)}
    (tmp_path / "dosa/assam").mkdir(parents=True)
    (tmp_path / "dosa/assam/original_artifacts.csv").write_text(
        "artifact,clues\nborsch dance,a festival\nborsch,a dish\n"
    )
    own = own_csv(tmp_path, "kimchi,KR,n,l,", "pho,VN,n,l,")
    gathered = gather({"kind": "atlas"} | folder, own | folder, {"kind": "dosa", "path": f"{tmp_path}/dosa"} | folder)
    references = list_references(gathered.concepts, gathered.sources, 9, {})
    named = dict(zip(gathered.concepts["concept_id"], gathered.concepts["name"], strict=True))
    found = {named[concept]: files for concept, files in references.items() if any("/" in file for file in files)}
    assert found == {"kimono": ["emoji:👘", kimono], "kimchi": kimchi, "borsch": [borsch]}
    unused = gathered.report["sources"][1]["not_understood"]["folder of pictures"]
    assert set(unused) == {"borsch", "kimono", "pho", "pirogi"}  # pho's is empty
    with pytest.raises(SourceDataError, match="no such folder"):
        gather({"kind": "atlas", "pictures": str(tmp_path / "none")})


def test_names_of_folders_do_not_depend_on_case_accents_or_unicode_form(tmp_path: Path) -> None:
    file = draw(tmp_path / "Pha\u0302t\u0303/1.png", 1)
    assert PictureFolders(str(tmp_path)).find(["PHẪT"]) == [str(file)]


def test_a_concept_of_the_atlas_keeps_its_one_picture() -> None:
    gathered = gather({"kind": "atlas"})
    assert list(gathered.sources["reference_images"].map(list)) == [
        [] if reference is None else [reference] for reference in gathered.concepts["reference_image"]
    ]
    assert read_concepts(pd.read_csv(ATLAS, dtype=str, keep_default_na=False)).columns.equals(gathered.concepts.columns)


def test_a_look_over_files_is_the_normalised_mean_of_each_pictures_own(tmp_path: Path) -> None:
    judge = write_tiny_clip(tmp_path / "judge")
    hanbok = [draw(tmp_path / f"hanbok/{number}.png", number) for number in range(3)]
    hanfu = draw(tmp_path / "hanfu.png", 9)
    rows = (f"hanbok,KR,n,l,{tmp_path}/hanbok", f"hanfu,CN,n,l,{hanfu}")
    gathered = gather(own_csv(tmp_path, *rows))
    settings = change_stage("mining", judge=str(judge), twins={"pictures": 3, "picture_size": 24, "views": {}})
    assert isinstance(settings, MiningParameters)
    stores = KeyedStore(tmp_path / "store"), ShardStore(tmp_path / "images")
    looks = embed_looks(gathered.concepts, gathered.sources, *stores, settings).set_index("concept_id")
    encoder = load_encoder(judge)
    for name, files in (("hanbok", hanbok), ("hanfu", [hanfu])):
        each = [encoder.encode_images([Image.open(file).convert("RGB")])[0] for file in files]
        mean = np.mean([vector / np.linalg.norm(vector) for vector in each], axis=0)
        (concept,) = gathered.concepts.loc[gathered.concepts["name"] == name, "concept_id"]
        assert looks["pictures"][concept] == len(files)
        np.testing.assert_allclose(looks["embedding"][concept], mean / np.linalg.norm(mean), atol=1e-5)
