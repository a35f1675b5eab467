"""All sources of concepts, one line each: the ``kind`` in the configuration chooses."""

from typing import Annotated

from pydantic import Field

from cultureclip.concepts.sources.atlas import AtlasSource
from cultureclip.concepts.sources.csv_file import CsvSource

ConceptSource = Annotated[
    AtlasSource | CsvSource,
    Field(discriminator="kind"),
]
"""Settings of one source."""
