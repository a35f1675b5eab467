"""The check of concepts from sources by the asker that did better on the sample."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cultureclip.concepts.bottom_up.ask import Title, TitleAsker
from cultureclip.concepts.bottom_up.calibrate import NO_ANSWER, NOT_BOUND, Calibrated
from cultureclip.concepts.clusters import Cluster
from cultureclip.concepts.pictures import PictureFetcher


@dataclass(frozen=True)
class ConceptCheck:
    """Tells which things are concepts, and of which category.

    Attributes:
        kinds: Kinds of sources whose things are checked; a thing that another source names, too, is not.
        calibrated: What was learned from the sample.
        asker: The language model.
        embed: Returns sentence embeddings, [N, D].
        category_by_model: Whether the language model tells the category, and not the classifier of embeddings.
        fetcher: Fetches the pictures of things that have an address of one alone; None: they are not shown.
    """

    kinds: frozenset[str]
    calibrated: Calibrated
    asker: TitleAsker
    embed: Callable[[list[str]], np.ndarray]
    category_by_model: bool
    fetcher: PictureFetcher | None = None

    def find_problems(self, things: Sequence[Cluster]) -> list[str]:
        """Return for each thing why it is no concept; empty if it is one, and then it has the category told here."""
        titles = self._to_titles(things)
        embeddings = self.embed([title.title for title in titles])
        if self.calibrated.chosen == "language_model":
            scores = self.asker.score(titles)
        else:
            scores = self.calibrated.binding.decision_function(embeddings)
        problems = [NO_ANSWER if np.isnan(s) else "" if s >= self.calibrated.threshold else NOT_BOUND for s in scores]
        good = [place for place, problem in enumerate(problems) if not problem]
        for place, category in zip(good, self._categories([titles[i] for i in good], embeddings[good]), strict=True):
            for row in things[place].rows if category else ():
                row.category = category or row.category
        return problems

    def _categories(self, titles: Sequence[Title], embeddings: np.ndarray) -> Sequence[str | None]:
        if not titles:
            return []
        if self.category_by_model:
            return self.asker.classify(titles)
        return [str(category) for category in self.calibrated.category.predict(embeddings)]

    def _to_titles(self, things: Sequence[Cluster]) -> list[Title]:
        addresses = [_first(row.found.picture_url for row in thing.rows) for thing in things]
        files = [_first(file for row in thing.rows for file in row.found.reference_images) for thing in things]
        fetched: dict[str, str] = {}
        if self.fetcher is not None:
            missing = (address for address, file in zip(addresses, files, strict=True) if address and not file)
            fetched = self.fetcher.fetch(missing)
        return [
            Title(
                title=thing.name,
                context=_first(row.found.context for row in thing.rows),
                picture=file or fetched.get(address),
            )
            for thing, address, file in zip(things, addresses, files, strict=True)
        ]


def _first(texts: Iterable[str | None]) -> str:
    return next(filter(None, texts), "")
