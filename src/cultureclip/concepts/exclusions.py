"""What people took out: concepts, cultures and images that no stage uses, on one list for all stages."""

import logging
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator

from cultureclip.concepts.regions import is_region
from cultureclip.errors import ConfigurationError
from cultureclip.settings_base import Settings

logger = logging.getLogger(__name__)


def _check_region(code: str) -> str:
    if not is_region(code):
        raise ValueError(f"{code!r} is not a region code, such as JP or GB-SCT")
    return code


class Exclusions(Settings):
    """The list, which stands in ``globals.yml``; every stage has it as its parameter ``exclude``.

    Attributes:
        concepts: Names or ids.
        cultures: Region codes; a concept of several cultures is out if one of them is.
        images: Ids.
    """

    concepts: tuple[str, ...] = ()
    cultures: tuple[Annotated[str, AfterValidator(_check_region)], ...] = ()
    images: tuple[str, ...] = ()

    def find(self, concepts: pd.DataFrame) -> frozenset[str]:
        """Return the ids of all concepts and images that are out.

        Args:
            concepts: Table CONCEPTS. What is out stays in it, so that a name on the list is known.

        Raises:
            ConfigurationError: if no concept has a name or id on the list: a misspelt wish must not be passed over.
        """
        if not (self.concepts or self.cultures):
            return frozenset(self.images)
        named = concepts["name"].isin(self.concepts) | concepts["concept_id"].isin(self.concepts)
        known = {*concepts.loc[named, "name"], *concepts.loc[named, "concept_id"]}
        if unknown := sorted(set(self.concepts) - known):
            remedy = "Write it as the table of concepts has it, or set exclude in this environment's globals.yml"
            raise ConfigurationError("exclude.concepts", f"no concept is called {unknown[0]!r}", remedy)
        away = set(self.cultures)
        theirs = concepts["cultures"].map(lambda codes: not away.isdisjoint(codes)).astype(bool)
        return frozenset({*concepts.loc[named | theirs, "concept_id"], *self.images})


class Excluding(Settings):
    """Settings of a stage that leaves out what people took out.

    Attributes:
        exclude: The list.
    """

    exclude: Exclusions = Exclusions()


def leave_out(rows: pd.DataFrame, excluded: frozenset[str], stage: str) -> pd.DataFrame:
    """Return the rows of a table without those that are out, and say how many there were.

    Twins are atomic: a row goes with the others of its twin if a concept of the twin is out. An image that is out takes
    only the rows that show it.

    Args:
        rows: A table whose columns of concepts end in ``concept_id``, those of images in ``image_id``.
        excluded: From :meth:`Exclusions.find`.
        stage: Who leaves them out, for the log.
    """
    if not excluded:
        return rows
    concepts, images = (
        rows[[name for name in rows.columns if name.endswith(ending)]].isin(excluded).any(axis=1)
        for ending in ("concept_id", "image_id")
    )
    if "twin_id" in rows.columns:
        concepts = rows["twin_id"].isin(rows.loc[concepts, "twin_id"])
    out = concepts | images
    if out.any():
        logger.info("%s: %d of %d rows are left out, see exclude in globals.yml", stage, int(out.sum()), len(rows))
    return rows[~out]
