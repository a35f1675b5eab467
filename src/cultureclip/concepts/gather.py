"""Concepts from all sources: rows are read one at a time, merged and counted; what each source said is kept."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from cultureclip.concepts.bottom_up.check import ConceptCheck
from cultureclip.concepts.clusters import Cluster, Clusters
from cultureclip.concepts.keys import fold, name_key
from cultureclip.concepts.licences import join_licences, strictest
from cultureclip.concepts.picture_files import PictureFolders
from cultureclip.concepts.settings import MergeSettings
from cultureclip.concepts.sources.found import Row
from cultureclip.concepts.sources.source import Material, Source
from cultureclip.concepts.sources.tally import GENERIC, REPEATED, Tally
from cultureclip.concepts.texts import CELL_LIMIT, ITEMS_LIMIT
from cultureclip.errors import SourceDataError
from cultureclip.ids import concept_id
from cultureclip.tables import CONCEPT_SOURCES, make_table

logger = logging.getLogger(__name__)

_BETWEEN = " | "


@dataclass(frozen=True)
class Gathered:
    """What the sources gave.

    Attributes:
        concepts: Table that fits :data:`cultureclip.tables.CONCEPTS`, in the order in which things were first named.
        sources: Table that fits :data:`cultureclip.tables.CONCEPT_SOURCES`: every row behind every concept.
        report: Counts by source, and of the merging.
    """

    concepts: pd.DataFrame
    sources: pd.DataFrame
    report: dict[str, Any]


def gather_concepts(
    sources: Sequence[Source],
    material: Material,
    settings: MergeSettings,
    shown: int = 20,
    check: ConceptCheck | None = None,
) -> Gathered:
    """Read all sources and merge their rows.

    Args:
        sources: The sources. Of rows that name one thing the first gives name, category and facts.
        material: What sources read besides their owners' files.
        settings: When rows are one concept.
        shown: Most bad rows of the atlas in an error, and most examples of a reason in the report.
        check: Who is asked whether the things of some sources are concepts; None: nobody.

    Raises:
        SourceDataError: if a source cannot be read, or gives not one concept.
    """
    clusters = Clusters(settings)
    tallies = [Tally(shown) for _ in sources]
    for kind, (source, tally) in enumerate(zip(sources, tallies, strict=True)):
        _read(source, kind, clusters, tally, material)
    kept = [cluster for cluster in clusters if not _drop_generic(cluster, settings, tallies)]
    if check is not None:
        kept = _drop_refused(kept, check, sources, tallies)
    for kind, (source, tally) in enumerate(zip(sources, tallies, strict=True)):
        _require_concepts(source, tally, [cluster for cluster in kept if kind in cluster.kinds])
    concepts = [_to_concept(cluster) for cluster in kept]
    behind = [
        _to_source(concept["concept_id"], sources[kind].kind, row, how)
        for concept, cluster in zip(concepts, kept, strict=True)
        for row, kind, how in zip(cluster.rows, cluster.kinds, cluster.how, strict=True)
    ]
    report = _report(sources, tallies, kept, shown)
    if check is not None and check.fetcher is not None:
        report["pictures_not_fetched"] = dict(check.fetcher.problems.most_common())
    return Gathered(pd.DataFrame(concepts), make_table(behind, CONCEPT_SOURCES), report)


def _read(source: Source, kind: int, clusters: Clusters, tally: Tally, material: Material) -> None:
    seen: set[int] = set()
    folders = None if source.pictures is None else PictureFolders(source.pictures)
    for row in source.rows(tally, material):
        if folders is not None and (pictures := folders.find((row.found.name, *row.found.aliases))):
            row.found = replace(row.found, reference_images=(*row.found.reference_images, *pictures))
        said = hash((row.found.name, row.found.language, row.found.ref, row.cultures))
        if said in seen and not row.curated:
            tally.drop(REPEATED, row.found.place)
        elif clusters.add(row, kind):
            seen.add(said)
        else:
            tally.drop(row.problem, row.found.place)
    for name in sorted(folders.unused) if folders is not None else ():
        tally.note("folder of pictures", name)


def _drop_generic(cluster: Cluster, settings: MergeSettings, tallies: Sequence[Tally]) -> bool:
    """Count the rows of a thing that is everywhere, or is called by its kind alone (a soup named soup)."""
    kinds = {name_key(row.found.universal) for row in cluster.rows if row.found.universal}
    generic = len(cluster.cultures) >= settings.generic_from or name_key(cluster.name) in kinds
    if not generic or cluster.curated:
        return False
    for row, kind in zip(cluster.rows, cluster.kinds, strict=True):
        tallies[kind].drop(GENERIC, row.found.place)
    return True


def _drop_refused(
    kept: Sequence[Cluster], check: ConceptCheck, sources: Sequence[Source], tallies: Sequence[Tally]
) -> list[Cluster]:
    """Return the things that a check lets pass or does not look at; count the rows of the others."""
    checked = [c for c in kept if check.kinds.issuperset(sources[kind].kind for kind in c.kinds)]
    refused = {}
    for cluster, problem in zip(checked, check.find_problems(checked) if checked else [], strict=True):
        if problem:
            refused[id(cluster)] = problem
            for row, kind in zip(cluster.rows, cluster.kinds, strict=True):
                tallies[kind].drop(problem, row.found.place)
    return [cluster for cluster in kept if id(cluster) not in refused]


def _require_concepts(source: Source, tally: Tally, kept: Sequence[Cluster]) -> None:
    if kept:
        return
    reasons = "; ".join(f"{count:,} {reason}" for reason, count in tally.dropped.most_common()) or "it has no row"
    remedy = "Map its columns, categories and countries in mining.sources, or leave it out: docs/sources.md"
    raise SourceDataError(f"source {source.kind}", f"not one of {tally.rows:,} rows is a concept ({reasons})", remedy)


def _to_concept(cluster: Cluster) -> dict[str, Any]:
    """Return the row of the concepts table: the first of each fact that a row gives, and all cultures and names."""
    rows, category = cluster.rows, cluster.category
    cultures = sorted(cluster.cultures)
    return {
        "concept_id": concept_id(cluster.name, cultures, category),
        "name": cluster.name,
        "cultures": cultures,
        "universal": _first(row.found.universal or row.found.category for row in rows),
        "category": category,
        "context": _first(row.found.context for row in rows),
        "key_visual_features": list(next((row.found.features for row in rows if row.found.features), ())),
        "source": _join(row.source for row in rows),
        "source_ref": _join(row.found.ref for row in rows),
        "aliases": _merge_aliases(rows),
        "licence": join_licences(row.licence for row in rows),
        "terms": strictest(row.terms for row in rows),
        "reference_image": next((picture for row in rows for picture in row.found.reference_images), None),
    }


def _merge_aliases(rows: Sequence[Row]) -> list[str]:
    """Return the other names that rows give, each once but for case and accents; a single row's stay as they are."""
    if len(rows) == 1:
        return list(rows[0].found.aliases)
    taken = {fold(rows[0].found.name)}
    merged = []
    for name in (name for row in rows for name in (row.found.name, *row.found.aliases)):
        if name and fold(name) not in taken:
            taken.add(fold(name))
            merged.append(name)
    return merged[:ITEMS_LIMIT]


def _to_source(concept: str, kind: str, row: Row, how: str) -> dict[str, Any]:
    found = row.found
    return {
        "concept_id": concept,
        "kind": kind,
        "place": found.place,
        "joined_by": how,
        "name": found.name,
        "language": found.language or None,
        "cultures": list(row.cultures),
        "category": found.category,
        "source_ref": found.ref,
        "licence": row.licence,
        "terms": row.terms,
        "wikidata": found.wikidata or None,
        "picture_url": found.picture_url or None,
        "picture_licence": found.picture_licence or None,
        "reference_images": list(found.reference_images),
    }


def _report(sources: Sequence[Source], tallies: Sequence[Tally], kept: Sequence[Cluster], shown: int) -> dict[str, Any]:
    """Return counts by source, and what the merging did."""
    joined = [Counter[str]() for _ in sources]
    concepts = [0] * len(sources)
    for cluster in kept:
        for kind in set(cluster.kinds):
            concepts[kind] += 1
        for kind, how in zip(cluster.kinds, cluster.how, strict=True):
            joined[kind][how] += 1
    several = [cluster for cluster in kept if len(set(cluster.kinds)) > 1]
    at_odds = [cluster for cluster in several if len({row.terms for row in cluster.rows}) > 1]
    by_source = [
        {"kind": source.kind, "concepts": count, "rows_by_rule": dict(how.most_common()), **tally.to_dict()}
        for source, tally, count, how in zip(sources, tallies, concepts, joined, strict=True)
    ]
    for entry in by_source:
        logger.info("Source %s: %d rows, %d concepts", entry["kind"], entry["rows"], entry["concepts"])
        if entry["dropped"]:
            logger.info("Source %s: rows left out by reason: %s", entry["kind"], entry["dropped"])
    return {
        "concepts": len(kept),
        "of_several_sources": len(several),
        "of_several_cultures": sum(len(cluster.cultures) > 1 for cluster in kept),
        "terms_at_odds": {
            "concepts": len(at_odds),
            "examples": {cluster.name: {row.source: row.terms for row in cluster.rows} for cluster in at_odds[:shown]},
        },
        "sources": by_source,
    }


def _first(texts: Iterable[str]) -> str:
    return next(filter(None, texts), "")


def _join(texts: Iterable[str]) -> str:
    """Return distinct texts, as many as a cell holds."""
    joined = ""
    for text in dict.fromkeys(texts):
        longer = f"{joined}{_BETWEEN}{text}" if joined else text
        if joined and len(longer) > CELL_LIMIT:
            break
        joined = longer
    return joined
