"""The card of an exported dataset: licences, counts, how it was made, and what it is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from cultureclip.concepts.regions import region_name
from cultureclip.exchange.settings import ExportSettings
from cultureclip.tables import SIDES

TEMPLATE = "card.md.j2"
MOST_WORKS = 20
"""Works that a card lists one by one; the others are counted per licence."""
HUB_LICENCES = {"CC-BY-SA-4.0", "CC-BY-4.0", "CC0-1.0", "Apache-2.0", "MIT"}
"""Licences that the hub knows by this name in lower case."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


@dataclass(frozen=True)
class CardFacts:
    """What the card says beyond the rows themselves.

    Attributes:
        summary: A sentence or two on what the dataset is.
        stayed: Rows that did not leave, by reason.
        models: Role in the run -> model.
        manifest: Digest of the manifest of the run that exports.
        commit: Commit of the code, if known.
        sources: From :func:`count_sources`.
        teachers: From :func:`~cultureclip.exchange.makers.describe_teachers`.
    """

    summary: str
    stayed: Mapping[str, int]
    models: Mapping[str, str]
    manifest: str
    commit: str | None
    sources: list[tuple[str, str, int]] = field(default_factory=list)
    teachers: list[tuple[str, str, str]] = field(default_factory=list)


def write_card(rows: pd.DataFrame, facts: CardFacts, settings: ExportSettings) -> str:
    """Write the card in Markdown, with the header that the hub reads."""
    licences = rows["licence"].value_counts().sort_index()
    only = str(licences.index[0]) if len(licences) == 1 else ""
    environment = Environment(  # noqa: S701 - Markdown: what is put in is escaped by the filter
        loader=PackageLoader("cultureclip.exchange"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = as_cell
    return environment.get_template(TEMPLATE).render(
        name=settings.name,
        formats=settings.formats,
        licence=only.lower() if only in HUB_LICENCES else "other",
        licences=list(licences.items()),
        size=next((label for most, label in _SIZES if len(rows) < most), "n>1M"),
        splits=sorted(rows["split"].unique()),
        counts=rows["split"].value_counts().to_dict(),
        images=len({image for side in SIDES for image in rows[f"{side}_image_id"]}),
        cultures=count_cultures(rows),
        categories=rows["category"].value_counts().sort_index().to_dict(),
        facts=facts,
    )


def count_cultures(rows: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Return culture, number of its concepts and number of sides that show one, the most frequent first."""
    sides = [
        rows[[f"{side}_concept_id", f"{side}_cultures"]].set_axis(["concept", "cultures"], axis=1) for side in SIDES
    ]
    shown = pd.concat(sides, ignore_index=True)
    shown["cultures"] = shown["cultures"].str.split(" ")
    exploded = shown.explode("cultures")
    counts = exploded.groupby("cultures")["concept"].agg(["nunique", "size"]).sort_values(["size"], ascending=False)
    return [(region_name(str(code)), int(n), int(sides)) for code, n, sides in counts.itertuples()]


def count_sources(concepts: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Count concepts per work that their facts are from, the most frequent first.

    ``Wikipedia: Kimono`` and ``Wikipedia: Sari`` are of one work. An address is a work of its own. Works beyond
    ``MOST_WORKS`` are one line per licence, so no licence is left out however many works there are.

    Returns:
        Work, licence and number of concepts.
    """
    works = concepts["source"].map(name_work)
    counts = concepts.groupby([works, concepts["licence"]]).size().reset_index(name="n")
    counts = counts.sort_values(["n", "source", "licence"], ascending=[False, True, True])
    listed, others = counts.iloc[:MOST_WORKS], counts.iloc[MOST_WORKS:]
    lines = [(str(work), str(licence), int(n)) for work, licence, n in listed.itertuples(index=False)]
    rest = others.groupby("licence", sort=True)["n"].agg(["size", "sum"])
    return lines + [(f"{works:,} more", str(licence), int(n)) for licence, works, n in rest.itertuples()]


def name_work(source: str) -> str:
    """Return the work in which an article is: the text before the first colon and space."""
    return source.partition(": ")[0].strip()


def as_cell(value: Any) -> str:
    """Write a value so that it is text in a cell of a Markdown table, whatever it holds."""
    text = " ".join(str(value).split())
    for char, escaped in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\["), ("*", "\\*")):
        text = text.replace(char, escaped)
    return text
