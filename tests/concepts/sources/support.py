"""What tests of sources share: a gathering of one source, and rows without files."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from cultureclip.concepts.gather import Gathered, gather_concepts
from cultureclip.concepts.settings import MergeSettings
from cultureclip.concepts.sources.registry import ConceptSource
from cultureclip.concepts.sources.source import Material, Source

ATLAS = Path(__file__).parents[3] / "data/01_raw/atlas.csv"
MERGING = MergeSettings(similarity=90, min_length=5, generic_from=20)


def read_source(**settings: Any) -> Source:
    return TypeAdapter(ConceptSource).validate_python(settings)


def gather(*sources: dict[str, Any], merging: MergeSettings = MERGING) -> Gathered:
    gathered = gather_concepts(
        [read_source(**s) for s in sources], Material(ATLAS.read_text(encoding="utf-8")), merging
    )
    check_counts(gathered)
    return gathered


def check_counts(gathered: Gathered) -> None:
    """No row is lost: each is behind a concept or counted by reason."""
    kept = gathered.sources["kind"].value_counts().to_dict()
    read: dict[str, int] = {}
    for source in gathered.report["sources"]:
        left_out = sum(source["dropped"].values())
        assert source["rows"] == sum(source["rows_by_rule"].values()) + left_out
        read[source["kind"]] = read.get(source["kind"], 0) + source["rows"] - left_out
    assert kept == read
    assert set(gathered.sources["concept_id"]) == set(gathered.concepts["concept_id"])


def dropped(gathered: Gathered, place: int = 0) -> dict[str, int]:
    return gathered.report["sources"][place]["dropped"]
