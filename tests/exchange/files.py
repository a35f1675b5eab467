"""Rows of twins written to disk in their owners' formats, small and with pictures that all differ."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.benchmark_files import encode, write_pictures

COUNT = 6
NAMES = [(f"robe {n}", f"gown {n}") for n in range(COUNT)]


def picture(number: int, side: int) -> bytes:
    return encode(2 * number + side, "JPEG" if number % 2 else "PNG")


def released_rows(**changes: Any) -> pd.DataFrame:
    """Rows in the published format, whose image files :func:`write_images` writes; ``changes`` are of the first row."""
    rows = []
    for number, names in enumerate(NAMES):
        row = {}
        for side, name in zip(("pos", "neg"), names, strict=True):
            row |= {f"{side}_image_path": f"images/{side}/{number}.img", f"{side}_concept": name}
            row |= {f"{side}_caption": f"a person in a {name} at a feast"}
        rows.append(row)
    rows[0] |= changes
    return pd.DataFrame(rows)


def write_images(folder: Path) -> None:
    for number in range(COUNT):
        for place, side in enumerate(("pos", "neg")):
            file = folder / f"images/{side}/{number}.img"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(number, place))


def write_released(folder: Path, ending: str = "parquet", **changes: Any) -> dict[str, Any]:
    write_images(folder)
    rows = released_rows(**changes)
    file = folder / f"rows.{ending}"
    writers = {
        "parquet": lambda: rows.to_parquet(file),
        "jsonl": lambda: rows.to_json(file, orient="records", lines=True),
        "json": lambda: rows.to_json(file, orient="records"),
        "csv": lambda: rows.to_csv(file, index=False),
        "tsv": lambda: rows.to_csv(file, index=False, sep="\t"),
    }
    writers[ending]()
    return {"path": folder, "format": {"type": "released", "files": f"*.{ending}"}}


def write_inside(folder: Path) -> dict[str, Any]:
    """The published rows with the images inside the parquet file, in columns of image structs."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = released_rows().drop(columns=["pos_image_path", "neg_image_path"])
    for place, side in enumerate(("pos", "neg")):
        rows[f"{side}_image"] = [{"bytes": picture(n, place), "path": None} for n in range(COUNT)]
    rows.to_parquet(folder / "rows.parquet")
    columns = {f"{side}_image": f"{side}_image" for side in ("pos", "neg")}
    return {"path": folder, "format": {"type": "released", "columns": columns}}


def write_triplets(folder: Path) -> dict[str, Any]:
    samples = {}
    for n, row in enumerate(released_rows().to_dict("records")):
        samples |= {f"{n}.image": picture(n, 0), f"{n}.neg_image": picture(n, 1)}
        samples |= {f"{n}.caption": row["pos_caption"].encode(), f"{n}.neg_caption": row["neg_caption"].encode()}
    write_tar(folder / "shard-0.tar", samples)
    return {"path": folder, "format": {"type": "tripletclip"}}


def write_sugarcrepe(folder: Path) -> dict[str, Any]:
    write_pictures(folder / "val2017", [f"{n}.jpg" for n in range(COUNT)], "JPEG")
    pairs = {
        str(n): {"filename": f"{n}.jpg", "caption": f"a {a} by a lake", "negative_caption": f"a {b} by a lake"}
        for n, (a, b) in enumerate(NAMES)
    }
    (folder / "replace_obj.json").write_text(json.dumps(pairs))
    return {"path": folder, "format": {"type": "sugarcrepe", "pictures": "val2017"}}


def write_open_clip_csv(folder: Path) -> dict[str, Any]:
    write_pictures(folder, [f"{n}.png" for n in range(COUNT)])
    lines = ["filepath\ttitle\thard_negative", *(f"{n}.png\ta {a}\ta {b}" for n, (a, b) in enumerate(NAMES))]
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    form = {"type": "open_clip_csv", "columns": {"neg_caption": "hard_negative"}}
    return {"path": folder / "train.csv", "format": form}


def write_open_clip_shards(folder: Path, *, as_member: bool = False) -> dict[str, Any]:
    samples = {}
    for n, (a, b) in enumerate(NAMES):
        negative = {f"{n}.neg.txt": f"a {b}".encode()} if as_member else {}
        facts = json.dumps({} if as_member else {"neg_caption": f"a {b}"}).encode()
        samples |= {f"{n}.jpg": picture(n, 0), f"{n}.txt": f"a {a}".encode(), f"{n}.json": facts} | negative
    write_tar(folder / "00000.tar", samples)
    columns = {"columns": {"neg_caption": "neg.txt"}} if as_member else {}
    return {"path": folder, "format": {"type": "open_clip_webdataset", **columns}}


def write_csv(folder: Path) -> dict[str, Any]:
    write_images(folder)
    rows = released_rows().rename(columns={f"{side}_image_path": f"{side}_image" for side in ("pos", "neg")})
    rows = rows.assign(category="clothing", pos_cultures="Japan|KR", neg_cultures="IN BD").rename(
        columns={"pos_caption": "right text"}
    )
    rows.to_csv(folder / "mine.csv", index=False)
    return {"path": folder / "mine.csv", "format": {"type": "csv", "columns": {"pos_caption": "right text"}}}


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
