"""An exported folder: what leaves and what stays, and the libraries that open it."""

import hashlib
import io
import json
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import datasets
import pandas as pd
import pytest
import webdataset
import yaml
from PIL import Image
from pydantic import ValidationError

from cultureclip.concepts.exclusions import Exclusions
from cultureclip.errors import ConfigurationError, MissingInputError
from cultureclip.exchange.card import MOST_WORKS, CardFacts, as_cell, count_sources, write_card
from cultureclip.exchange.checksums import CHECKSUMS
from cultureclip.exchange.folder import DatasetFolder
from cultureclip.exchange.rows import divide_rows
from cultureclip.exchange.settings import ExportSettings
from cultureclip.ids import concept_id, digest, twin_id
from cultureclip.images.records import encode_image
from cultureclip.judging.selection import RESTRICTED

NAMES = ["kimono", "hanbok", "sari", "ao dai", "thobe", "kilt"]
CULTURES = [["JP"], ["KR"], ["IN", "BD"], ["VN"], ["SA"], ["GB"]]
IDS = [concept_id(name, cell, "Clothing") for name, cell in zip(NAMES, CULTURES, strict=True)]
NOTHING = Exclusions()
FACTS = CardFacts("Look-alikes.", {}, {"captions": "m"}, "0" * 20, None, [("atlas", "CC0-1.0", 6)])


class Pictures:
    """A source that draws each picture anew: a colour from the id."""

    def __init__(self, ids: Sequence[str], edge: int = 8) -> None:
        self.ids, self.edge, self.most = list(ids), edge, 0

    def read(self, ids: Sequence[str]) -> list[Image.Image]:
        self.most = max(self.most, len(ids))
        return [Image.new("RGB", (self.edge, self.edge), f"#{image[:6]}") for image in ids]

    def checksums(self, ids: Sequence[str]) -> list[str]:
        return list(ids)


def make_concepts(**changes: object) -> pd.DataFrame:
    table = pd.DataFrame({"concept_id": IDS, "name": NAMES, "cultures": CULTURES})
    table = table.assign(category="Clothing", source="atlas", licence="CC0-1.0", terms="train")
    return table.assign(**changes)


def make_rows(per_twin: int = 2, licence: str = "CC-BY-SA-4.0") -> pd.DataFrame:
    rows = []
    for number, (a, b) in enumerate(((0, 1), (2, 3), (4, 5))):
        for k in range(per_twin):
            sides = {}
            for side, place in (("pos", a), ("neg", b)):
                caption = f"A {NAMES[place]}, | <b>{k}</b>"
                sides |= {f"{side}_concept": NAMES[place], f"{side}_concept_id": IDS[place], f"{side}_caption": caption}
                sides |= {f"{side}_caption_id": digest(caption), f"{side}_image_id": digest("image", place, k)}
            ids = {"row_id": digest(number, k), "twin_id": twin_id(IDS[a], IDS[b])}
            rows.append(ids | {"split": "dev" if number == 2 else "train"} | sides | {"licence": licence})
    return pd.DataFrame(rows)


def all_images(rows: pd.DataFrame) -> list[str]:
    return sorted({*rows["pos_image_id"], *rows["neg_image_id"]})


def settings(**changes: object) -> ExportSettings:
    return ExportSettings(
        **{"name": "cultwin", "formats": ["parquet", "released", "webdataset"], "part_rows": 3} | changes
    )


@pytest.fixture
def folder(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    table = make_rows()
    rows, stayed = divide_rows(table, make_concepts(), all_images(table), NOTHING)
    assert stayed == {}
    for path, content in DatasetFolder(rows, Pictures(all_images(rows)), FACTS, settings()).files():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    return tmp_path, rows


def test_datasets_opens_it_with_typed_images_and_every_image_is_the_stores(folder):
    path, rows = folder
    made = datasets.load_dataset(str(path), "twins", cache_dir=str(path / "cache"))
    assert {split: len(made[split]) for split in made} == {"train": 4, "dev": 2}
    assert isinstance(made["train"].features["pos_image"], datasets.Image)
    raw = made["train"].cast_column("pos_image", datasets.Image(decode=False))
    for row in raw:
        expected = encode_image("", Pictures([]).read([row["pos_image_id"]])[0], 1, {})
        assert hashlib.sha256(row["pos_image"]["bytes"]).hexdigest() == expected.sha256
    wanted = rows[rows["split"] == "train"]
    assert made["train"]["pos_caption"][:] == wanted["pos_caption"].tolist()
    assert made["dev"]["neg_cultures"][:] == ["GB", "GB"]


def test_the_published_row_format_is_there_with_its_image_files(folder):
    path, rows = folder
    lines = pd.read_parquet(path / "released/train.parquet").to_dict("records")
    assert set(lines[0]) == {f"{s}_{f}" for s in ("pos", "neg") for f in ("image_path", "caption", "concept")}
    assert [line["neg_concept"] for line in lines] == rows.loc[rows["split"] == "train", "neg_concept"].tolist()
    for line in lines:
        for side in ("pos", "neg"):
            assert Image.open(path / line[f"{side}_image_path"]).size == (8, 8)
    opened = datasets.load_dataset(str(path), "released", cache_dir=str(path / "cache"))
    assert len(opened["train"]) == len(lines)


def test_webdataset_reads_the_shards(folder):
    path, rows = folder
    shards = sorted(map(str, path.glob("webdataset/train-*.tar")))
    assert len(shards) == 2
    seen = list(webdataset.WebDataset(shards, shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in seen] == rows.loc[rows["split"] == "train", "row_id"].tolist()
    assert seen[0]["pos.png"].size == (8, 8)
    assert seen[0]["json"]["pos_concept"] == "kimono"


def test_pandas_reads_a_part_and_the_checksums_hold(folder):
    path, _ = folder
    part = pd.read_parquet(path / "data/dev-00000-of-00001.parquet")
    assert Image.open(io.BytesIO(part["pos_image"].iloc[0]["bytes"])).size == (8, 8)
    lines = (path / CHECKSUMS).read_text().splitlines()
    listed = {line[66:]: line[:64] for line in lines}
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and "cache" not in file.parts}
    assert files == {*listed, CHECKSUMS}
    assert all(hashlib.sha256((path / name).read_bytes()).hexdigest() == checksum for name, checksum in listed.items())


def test_the_card_has_the_hubs_header_and_counts_cultures(folder):
    path, _ = folder
    text = (path / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---")[1])
    assert header["license"] == "cc-by-sa-4.0"
    assert [config["config_name"] for config in header["configs"]] == ["twins", "released"]
    assert "| Bangladesh | 1 | 2 |" in text
    assert "| CC-BY-SA-4.0 | 6 |" in text
    assert "No row was held back." in text
    described = json.loads((path / "croissant.json").read_text())
    parts = [part for part in described["distribution"] if part["@type"] == "cr:FileObject"]
    assert {part["@id"] for part in parts} == {str(p.relative_to(path)) for p in path.glob("data/*.parquet")}
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.0"


def test_the_same_rows_give_the_same_bytes():
    rows, _ = divide_rows(make_rows(), make_concepts(), all_images(make_rows()), NOTHING)
    first, second = (dict(DatasetFolder(rows, Pictures([]), FACTS, settings()).files()) for _ in range(2))
    assert first == second


def test_what_must_not_leave_stays_and_is_counted_by_reason():
    table = make_rows()
    terms = ["train", "no_redistribute", "eval_only", "train", "train", "train"]
    rows, stayed = divide_rows(table, make_concepts(terms=terms), all_images(table), NOTHING)
    assert stayed == {"eval_only": 2, "no_redistribute": 2}
    assert set(rows["pos_concept"]) == {"thobe"}
    restricted = make_rows(licence="CC-BY-SA-4.0" + RESTRICTED)
    assert divide_rows(restricted, make_concepts(), all_images(table), NOTHING)[1] == {"no_redistribute": 6}


@pytest.mark.parametrize(
    ("wish", "left"),
    [
        ({"concepts": ["kilt"]}, {"kimono", "sari"}),
        ({"concepts": [IDS[0]]}, {"sari", "thobe"}),
        ({"cultures": ["BD"]}, {"kimono", "thobe"}),
        ({"images": [digest("image", 0, 0)]}, {"kimono", "sari", "thobe"}),
    ],
)
def test_what_people_take_out_does_not_leave(wish, left):
    table = make_rows()
    rows, stayed = divide_rows(table, make_concepts(), all_images(table), Exclusions(**wish))
    assert set(rows["pos_concept"]) == left
    assert stayed == {"excluded": 1 if "images" in wish else 2}


def test_a_misspelt_wish_is_refused_instead_of_passed_over():
    table = make_rows()
    with pytest.raises(ConfigurationError, match=r"exclude\.concepts: no concept is called 'kimno'"):
        divide_rows(table, make_concepts(), all_images(table), Exclusions(concepts=["kimno"]))
    with pytest.raises(ValidationError, match="not a region code"):
        Exclusions(cultures=["XX"])


def test_a_row_without_its_image_stays_and_tables_of_two_runs_are_refused():
    table = make_rows()
    present = [image for image in all_images(table) if image != table["neg_image_id"].iloc[0]]
    assert divide_rows(table, make_concepts(), present, NOTHING)[1] == {"no_image": 1}
    with pytest.raises(MissingInputError, match="of different runs"):
        divide_rows(table, make_concepts().iloc[1:], present, NOTHING)


def test_memory_holds_a_part_and_not_the_dataset():
    table = make_rows(per_twin=60)
    rows, _ = divide_rows(table, make_concepts(), all_images(table), NOTHING)
    pictures = Pictures([], edge=64)
    tracemalloc.start()
    total = sum(len(content) for _, content in DatasetFolder(rows, pictures, FACTS, settings()).files())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pictures.most <= 6
    assert total > 300_000
    assert peak < 3_000_000


def test_the_card_counts_works_and_not_articles():
    sources = [
        "Wikipedia: Kimono",
        "Wikipedia: Ao dai: history",
        "Wikipedia: Sari",
        "https://example.org/a: b",
        "atlas",
        "",
    ]
    table = make_concepts(source=sources, licence=["CC-BY-SA-4.0", "CC-BY-SA-4.0", *["CC0-1.0"] * 4])
    assert count_sources(table) == [
        ("Wikipedia", "CC-BY-SA-4.0", 2),
        ("", "CC0-1.0", 1),
        ("Wikipedia", "CC0-1.0", 1),
        ("atlas", "CC0-1.0", 1),
        ("https://example.org/a", "CC0-1.0", 1),
    ]


def test_the_cards_list_of_works_is_bounded_and_loses_neither_a_concept_nor_a_licence():
    count = 10_000
    licences = [f"LicenseRef-{number % 3}" for number in range(count)]
    table = pd.DataFrame({"source": [f"work {number % 4_000}" for number in range(count)], "licence": licences})
    lines = count_sources(table)
    assert len(lines) == MOST_WORKS + 3
    assert sum(n for *_, n in lines) == count
    assert {licence for _, licence, _ in lines} == set(licences)
    pairs = len(table.drop_duplicates())
    assert sum(int(work.split()[0].replace(",", "")) for work, *_ in lines[MOST_WORKS:]) == pairs - MOST_WORKS


def test_every_row_keeps_the_article_that_its_facts_are_from(folder):
    path, rows = folder
    part = pd.read_parquet(path / "data/dev-00000-of-00001.parquet")
    assert part["neg_source"].tolist() == rows.loc[rows["split"] == "dev", "neg_source"].tolist()
    assert "`pos_source` and `neg_source`" in (path / "README.md").read_text()


def test_the_card_says_what_audits_found_of_who_wrote_the_data(folder):
    _, rows = folder
    audited = replace(FACTS, teachers=[("captioning.language_model", "m | x", "never audited")])
    assert "Who wrote this data" not in write_card(rows, FACTS, settings())
    assert "| captioning.language_model | m \\| x | never audited |" in write_card(rows, audited, settings())


def test_hostile_text_stays_text_in_the_card():
    assert as_cell("a | b\n<script>`x` [y](z)") == "a \\| b &lt;script>\\`x\\` \\[y](z)"
