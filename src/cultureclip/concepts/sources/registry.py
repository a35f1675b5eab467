"""All sources of concepts, one line each: the ``kind`` in the configuration chooses."""

from typing import Annotated

from pydantic import Field

from cultureclip.concepts.sources.atlas import AtlasSource
from cultureclip.concepts.sources.csv_file import CsvSource
from cultureclip.concepts.sources.cube import CubeSource
from cultureclip.concepts.sources.cultural_ground import CulturalGroundSource
from cultureclip.concepts.sources.cunit import CunitSource
from cultureclip.concepts.sources.dosa import DosaSource
from cultureclip.concepts.sources.marvl import MarvlSource
from cultureclip.concepts.sources.top_down import TopDownSource
from cultureclip.concepts.sources.wikidata import WikidataSource
from cultureclip.concepts.sources.wit import WitSource
from cultureclip.concepts.sources.worldcuisines import WorldCuisinesSource

ConceptSource = Annotated[
    AtlasSource
    | CsvSource
    | CubeSource
    | CulturalGroundSource
    | CunitSource
    | DosaSource
    | MarvlSource
    | TopDownSource
    | WikidataSource
    | WitSource
    | WorldCuisinesSource,
    Field(discriminator="kind"),
]
"""Settings of one source."""
