"""The bottom-up pass as a whole: the sample's titles are asked about and embedded, and the better asker is learned."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cultureclip.concepts.bottom_up.ask import Title, TitleAsker
from cultureclip.concepts.bottom_up.calibrate import Calibrated, calibrate
from cultureclip.concepts.bottom_up.check import ConceptCheck
from cultureclip.concepts.pictures import PictureFetcher
from cultureclip.concepts.settings import BottomUpSettings


@dataclass(frozen=True)
class BottomUp:
    """A sample of titles and who is asked about it. Nothing is asked before :attr:`learned` is first read.

    Attributes:
        titles: From :func:`cultureclip.concepts.bottom_up.titles.read_titles`.
        asker: The language model.
        embed: Returns sentence embeddings, [N, D].
        settings: How it is learned.
    """

    titles: pd.DataFrame
    asker: TitleAsker
    embed: Callable[[list[str]], np.ndarray]
    settings: BottomUpSettings

    @cached_property
    def learned(self) -> tuple[pd.DataFrame, dict[str, Any], Calibrated]:
        """The table of titles, the figures and the better asker; see :func:`calibrate`."""
        asked = [Title(*row) for row in self.titles[["title", "context", "picture"]].itertuples(index=False)]
        scores = self.asker.score(asked)
        categories = self.asker.classify(asked) if self._by_model else None
        table, figures, calibrated = calibrate(
            self.titles, scores, self.embed(list(self.titles["title"])), self.settings, categories
        )
        usage = self.asker.usage.to_metrics(self.settings.language_model.prices)
        return table, figures | {"usage": usage}, calibrated

    def make_check(self) -> ConceptCheck:
        """Return the check of concepts from sources by what was learned."""
        kinds, calibrated, pictures = frozenset(self.settings.checks), self.learned[2], self.settings.pictures
        fetcher = PictureFetcher(pictures) if pictures and self.settings.show_pictures else None
        return ConceptCheck(kinds, calibrated, self.asker, self.embed, self._by_model, fetcher)

    @property
    def _by_model(self) -> bool:
        return self.settings.category_by == "language_model"
