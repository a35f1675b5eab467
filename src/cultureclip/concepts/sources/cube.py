"""CUBE-1K: dishes, landmarks and art of eight countries, most with a Wikidata id.

Owner: github google-deepmind/cube @ 4ec2d35, ``dataset/cube_1k.json`` (a list of objects; all values are texts, "nan"
where there is none; ``id`` is a Wikidata id, blank, or "LLM" where a language model named the thing). Licence of the
data: CC BY-NC-SA 4.0. It is a benchmark of text-to-image models: its terms are ``eval_only`` unless you say otherwise.
The archive of the CSpace, the larger part, is not read.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_json_list
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Terms
from cultureclip.concepts.sources.tally import MALFORMED, Tally
from cultureclip.reading.text import MAX_CONFIG_BYTES

_WIKIDATA = re.compile(r"Q[1-9]\d*")
_NONE = ("nan", "")


class CubeSource(OwnersSource):
    """The owner's list of prompts; the thing and its country are taken, the prompt is not."""

    kind: Literal["cube"]
    title: str = "CUBE-1K"
    licence: str = "CC-BY-NC-SA-4.0"
    terms: Terms = "eval_only"
    categories: dict[str, Category] = Field(
        default_factory=lambda: {
            "cuisine": "Cuisine",
            "landmarks": "Architecture",
            "landscapes": "Architecture",
            "art": "Art",
        }
    )

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the things."""
        for path in find_files(self.path, ("cube_1k.json",)):
            for place, entry in read_json_list(path, tally, MAX_CONFIG_BYTES):
                if not isinstance(entry.get("name"), str):
                    tally.drop(MALFORMED, place)
                    continue
                wikidata = match[0] if (match := _WIKIDATA.fullmatch(_text(entry, "id"))) else ""
                yield Found(
                    place=place,
                    name=_text(entry, "name"),
                    countries=(_text(entry, "country"),),
                    category=_text(entry, "domain"),
                    ref=f"https://www.wikidata.org/wiki/{wikidata}" if wikidata else "",
                    wikidata=wikidata,
                )


def _text(entry: dict[str, Any], field: str) -> str:
    """Return a value; empty where the owner writes "nan", or something other than a text."""
    value = entry.get(field)
    value = value.strip() if isinstance(value, str) else ""
    return "" if value in _NONE else value
