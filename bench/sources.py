"""Five million lines in WIT's form, gzipped, streamed into the table of concepts: rows per second and peak memory.

As in WIT, one line of seven is of an English page, and a page has several pictures. Of the English pages one of ten has
a kind of thing and a country in its first sentence. The reading runs in a process of its own; its peak is all of its
memory, libraries among it. Budget: 1 GB.

    python bench/sources.py [--lines 5000000] [--folder FOLDER]

Prints a line and, as its last line, one JSON object.
"""

import argparse
import gzip
import json
import tempfile
import time
from pathlib import Path

from machine import describe_machine, peak_memory, run_alone

BUDGET_GB = 1.0
BLOCK = 10_000
COLUMNS = (
    "language",
    "page_url",
    "image_url",
    "page_title",
    "section_title",
    "hierarchical_section_title",
    "caption_reference_description",
    "caption_attribution_description",
    "caption_alt_text_description",
    "mime_type",
    "original_height",
    "original_width",
    "is_main_image",
    "attribution_passes_lang_id",
    "page_changed_recently",
    "context_page_description",
    "context_section_description",
)
KINDS = ("dish", "garment", "dance", "temple", "festival", "instrument", "bread", "robe")
PEOPLES = ("Japanese", "Mexican", "Nigerian", "Turkish", "Indian", "French", "Thai", "Peruvian")
FILLER = "It is described in several works, and its history is longer than what fits into one section of a page. " * 2


def write_lines(path: Path, lines: int) -> None:
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        file.write("\t".join(COLUMNS) + "\n")
        for start in range(0, lines, BLOCK):
            file.write("".join(make_line(number) for number in range(start, min(start + BLOCK, lines))))


def make_line(number: int) -> str:
    page = number // 3  # three pictures per page
    language = "en" if page % 7 == 0 else ("de", "ja", "es", "ar", "hi", "zh")[page % 6]
    of_culture = page % 70 == 0
    what = f"{PEOPLES[page // 70 % 8]} {KINDS[page // 560 % 8]}" if of_culture else "town or person"
    cells = {
        "language": language,
        "page_url": f"https://{language}.wikipedia.org/wiki/Page_{page}",
        "image_url": f"https://upload.wikimedia.org/wikipedia/commons/{number:x}.jpg",
        "page_title": f"Thing {spell(page)}",
        "mime_type": "image/jpeg",
        "original_height": "768",
        "original_width": "1024",
        "is_main_image": str(number % 3 == 0).lower(),
        "context_page_description": f"Thing {spell(page)} is a well-known {what}. {FILLER}",
        "context_section_description": FILLER,
    }
    return "\t".join(cells.get(column, "") for column in COLUMNS) + "\n"


def spell(number: int) -> str:
    """A name of its own for every number: syllables, so that names are as long as names are."""
    syllables = ("ka", "mo", "ri", "tu", "sen", "lo", "pa", "ni", "go", "wa")
    return "".join(syllables[int(digit)] for digit in f"{number * 7919 % 10_000_019:08d}")


def measure(folder: str) -> None:
    from cultureclip.concepts.gather import gather_concepts
    from cultureclip.concepts.settings import MergeSettings
    from cultureclip.concepts.sources.source import Material
    from cultureclip.concepts.sources.wit import WitSource

    start = time.perf_counter()
    gathered = gather_concepts(
        [WitSource(kind="wit", path=folder)],
        Material(""),
        MergeSettings(similarity=90, min_length=5, generic_from=20),
    )
    seconds = time.perf_counter() - start
    (report,) = gathered.report["sources"]
    found = {"seconds": seconds, "bytes": peak_memory(), "rows": report["rows"], "concepts": len(gathered.concepts)}
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--folder", help="of lines written before; they are measured alone")
    given = parser.parse_args()
    if given.folder:
        measure(given.folder)
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wit.tsv.gz"
        write_lines(path, given.lines)
        size = path.stat().st_size
        found = run_alone(__file__, folder=folder)
    rate, peak = found["rows"] / found["seconds"], found["bytes"] / 1e9
    print(f"{found['rows']:,} rows ({size / 1e6:.0f} MB) in {found['seconds']:.1f} s, {found['concepts']:,} concepts")
    result = {
        "rows_per_s": round(rate),
        "peak_gb": round(peak, 3),
        "budget_gb": BUDGET_GB,
        "lines": given.lines,
        "concepts": found["concepts"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
