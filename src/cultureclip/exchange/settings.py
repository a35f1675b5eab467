"""Settings of an export."""

from typing import Annotated, Literal

from pydantic import Field

from cultureclip.settings_base import Settings


class ExportSettings(Settings):
    """What is exported, and under which name.

    Attributes:
        name: Name of the dataset, as in a hub's address.
        formats: ``parquet``: rows with their images for ``datasets``; ``released``: the published row format over a
            folder of images; ``webdataset``: tar shards.
        part_rows: Rows of a parquet part or a tar shard: all of them are in memory at once, with their images.
        exclude_concepts: Names or ids of concepts that do not leave.
        exclude_cultures: Region codes whose concepts do not leave.
        exclude_images: Ids of images that do not leave.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
    formats: tuple[Literal["parquet", "released", "webdataset"], ...] = Field(min_length=1)
    part_rows: int = Field(ge=1, le=100_000)
    exclude_concepts: tuple[str, ...] = ()
    exclude_cultures: tuple[str, ...] = ()
    exclude_images: tuple[str, ...] = ()
