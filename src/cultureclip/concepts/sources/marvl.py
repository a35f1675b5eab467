"""MaRVL: concepts that native speakers of five languages chose, named in their language.

Owner: github marvl-challenge/marvl-code @ 3b841dd, ``data/<language>/annotations/marvl-<language>.jsonl`` (a statement
per line; ``concept`` is "<number>-<name>" with underscores for spaces, ``chapter`` is one of the Intercontinental
Dictionary Series). Licence of the texts: CC BY 4.0; it is a benchmark, so its terms are ``eval_only`` unless you say
otherwise. Pickles beside the notebooks are never loaded. Many concepts are general (pencil, cat): their speakers chose
them as part of their life.
"""

import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from cultureclip.concepts.sources.files import find_files, read_json_lines
from cultureclip.concepts.sources.found import Found
from cultureclip.concepts.sources.source import Category, OwnersSource, Region, Terms
from cultureclip.concepts.sources.tally import MALFORMED, Tally

_CONCEPT = re.compile(r"\d+-(.+)", re.DOTALL)


class MarvlSource(OwnersSource):
    """The owner's statements; each concept is taken from its first statement.

    Attributes:
        languages: Languages -> region codes of their speakers. The default are the countries of birth of the owner's
            annotators.
    """

    kind: Literal["marvl"]
    title: str = "MaRVL"
    licence: str = "CC-BY-4.0"
    terms: Terms = "eval_only"
    languages: dict[str, tuple[Region, ...]] = Field(
        default_factory=lambda: {"id": ("ID",), "sw": ("TZ",), "ta": ("IN",), "tr": ("TR",), "zh": ("CN", "TW")}
    )
    categories: dict[str, Category] = Field(
        default_factory=lambda: {
            "Agriculture and vegetation": "Animals & Plants",
            "Animal": "Animals & Plants",
            "Basic actions and technology": "Daily Life",
            "Clothing and grooming": "Clothing",
            "Cognition": "Daily Life",
            "Food and Beverages": "Cuisine",
            "Motion": "Daily Life",
            "Religion and belief": "Symbol",
            "Speech and language": "Art",
            "The house": "Daily Life",
            "Time": "Festival",
        }
    )

    def read(self, tally: Tally) -> Iterator[Found]:
        """Yield the concept of every statement."""
        for path in find_files(self.path, [f"marvl-{language}.jsonl" for language in self.languages]):
            for place, row in read_json_lines(path, tally):
                concept, language, chapter = (row.get(field) for field in ("concept", "language", "chapter"))
                match = _CONCEPT.fullmatch(concept) if isinstance(concept, str) else None
                if match is None or not isinstance(language, str) or not isinstance(chapter, str):
                    tally.drop(MALFORMED, place)
                    continue
                yield Found(
                    place=place,
                    name=match[1].replace("_", " "),
                    countries=self.languages.get(language, ()),
                    category=chapter,
                    ref=f"https://github.com/marvl-challenge/marvl-code: {language}, {concept}",
                    language=language,
                )
