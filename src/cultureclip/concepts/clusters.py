"""Rows of several sources that name one thing, found while the rows stream by.

A row joins a thing that is there already, by the first of these rules that holds:

1. ``wikidata``: the Wikidata ids are equal.
2. ``name``: the names' keys are equal, and a culture is shared; or the category is, as things are at home in several
   countries. Buildings are not: the Pantheon of Rome is not that of Paris.
3. ``alias``: the key of one's name is the key of an alias of the other; category and a culture are shared.
4. ``similar``: the keys of the names are nearly equal; category and a culture are shared, and so are the first letter
   and all digits.

Rows with different Wikidata ids are never one thing. By the last two rules, rows of one source are not, either, for an
owner tells its own things apart. Keys of fewer than
``min_length`` characters prove nothing across spellings: for those the names must be equal but for case and accents.
Two rows of one curated source are never one thing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from rapidfuzz import fuzz, process

from cultureclip.concepts.keys import fold, name_key
from cultureclip.concepts.settings import MergeSettings
from cultureclip.concepts.sources.found import Row

NEW, WIKIDATA, NAME, ALIAS, SIMILAR = "new", "wikidata", "name", "alias", "similar"
_OF_ONE_PLACE = "Architecture"
"""Category of things that are not at home in several countries because they have one name."""
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True, eq=False)
class Cluster:
    """One thing, and the rows that name it.

    Attributes:
        rows: The rows, the first first.
        kinds: Places of their sources in the configuration.
        how: The rule by which each row joined.
        cultures: Region codes of all rows.
    """

    rows: list[Row] = field(default_factory=list)
    kinds: list[int] = field(default_factory=list)
    how: list[str] = field(default_factory=list)
    cultures: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Name of the thing."""
        return self.rows[0].found.name

    @property
    def category(self) -> str:
        """Category of the thing."""
        return self.rows[0].category

    @property
    def curated(self) -> bool:
        """Whether a curated row names the thing."""
        return any(row.curated for row in self.rows)


class Clusters:
    """The things named so far."""

    def __init__(self, settings: MergeSettings) -> None:
        self._settings = settings
        self._all: list[Cluster] = []
        self._by_wikidata: dict[str, Cluster] = {}
        self._by_name: dict[str, list[Cluster]] = defaultdict(list)
        self._by_alias: dict[str, list[Cluster]] = defaultdict(list)
        self._by_block: dict[tuple[str, str, str], dict[str, Cluster]] = defaultdict(dict)
        """Culture, category and first letter -> key of a name -> the thing."""

    def __iter__(self) -> Iterator[Cluster]:
        """Yield the things in the order in which they were first named."""
        return iter(self._all)

    def add(self, row: Row, kind: int) -> str:
        """Add a row to the thing that it names.

        Args:
            row: The row. One with a problem, such as no name, joins by its Wikidata id or not at all.
            kind: Place of its source in the configuration.

        Returns:
            The rule by which it joined; :data:`NEW` if nothing like it was there; empty if it was not added.
        """
        cluster, how = self._find(row, kind)
        if cluster is None:
            if row.problem:
                return ""
            cluster, how = Cluster(), NEW
            self._all.append(cluster)
        cluster.rows.append(row)
        cluster.kinds.append(kind)
        cluster.how.append(how)
        cluster.cultures.update(row.cultures)
        self._index(row, cluster)
        return how

    def _find(self, row: Row, kind: int) -> tuple[Cluster | None, str]:
        known = self._by_wikidata.get(row.found.wikidata) if row.found.wikidata else None
        if known is not None:
            return known, WIKIDATA
        if row.problem:
            return None, ""
        key = name_key(row.found.name)
        rules = (
            (NAME, self._of_name(key, row)),
            (ALIAS, self._of_alias(key, row, kind)),
            (SIMILAR, self._near(key, row, kind)),
        )
        for how, candidates in rules:
            for cluster in candidates:
                if not (row.curated and kind in cluster.kinds) and not _differ(cluster, row):
                    return cluster, how
        return None, ""

    def _of_name(self, key: str, row: Row) -> Iterator[Cluster]:
        long = len(key) >= self._settings.min_length
        for cluster in self._by_name.get(key, ()):
            alike = long or any(fold(row.found.name) == fold(other.found.name) for other in cluster.rows)
            anywhere = cluster.category == row.category != _OF_ONE_PLACE
            if alike and (anywhere or _share_culture(cluster, row)):
                yield cluster

    def _of_alias(self, key: str, row: Row, kind: int) -> Iterator[Cluster]:
        aliases = map(name_key, row.found.aliases)
        for shared, places in ((key, self._by_alias), *((alias, self._by_name) for alias in aliases)):
            if len(shared) >= self._settings.min_length:
                for cluster in places.get(shared, ()):
                    alike = cluster.category == row.category and _share_culture(cluster, row)
                    if alike and kind not in cluster.kinds:
                        yield cluster

    def _near(self, key: str, row: Row, kind: int) -> Iterator[Cluster]:
        if len(key) < self._settings.min_length:
            return
        least, digits = self._settings.similarity, _DIGITS.findall(key)
        found: list[tuple[float, str, Cluster]] = []
        for culture in row.cultures:
            known = self._by_block.get((culture, row.category, key[0]), {})
            near = process.extract(key, known.keys(), scorer=fuzz.ratio, score_cutoff=least, limit=None)
            for other, score, _ in near:
                if _DIGITS.findall(other) == digits and kind not in known[other].kinds:
                    found.append((-score, other, known[other]))
        for _, _, cluster in sorted(found, key=lambda entry: entry[:2]):
            yield cluster

    def _index(self, row: Row, cluster: Cluster) -> None:
        if row.found.wikidata:
            self._by_wikidata.setdefault(row.found.wikidata, cluster)
        key = name_key(row.found.name)
        for places, keys in ((self._by_name, {key}), (self._by_alias, set(map(name_key, row.found.aliases)))):
            for one in filter(None, keys):
                if cluster not in places[one]:
                    places[one].append(cluster)
        if key:
            for culture in cluster.cultures:
                self._by_block[culture, cluster.category, key[0]].setdefault(key, cluster)


def _differ(cluster: Cluster, row: Row) -> bool:
    """Tell whether a row's Wikidata id is another than that of the thing's rows."""
    known = {other.found.wikidata for other in cluster.rows} - {""}
    return bool(row.found.wikidata and known and row.found.wikidata not in known)


def _share_culture(cluster: Cluster, row: Row) -> bool:
    return not cluster.cultures.isdisjoint(row.cultures)
