"""Settings of exports and imports."""

from typing import Annotated, Literal

from pydantic import Field

from cultureclip.settings_base import Settings

PublishedName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}$")]
"""Name of a dataset or a model, as in a hub's address."""


class ExportSettings(Settings):
    """What is exported, and under which name.

    Attributes:
        name: Name of the dataset, as in a hub's address.
        formats: ``parquet``: rows with their images for ``datasets``; ``released``: the published row format over a
            folder of images; ``webdataset``: tar shards.
        part_rows: Rows of a parquet part or a tar shard: all of them are in memory at once, with their images.
    """

    name: PublishedName
    formats: tuple[Literal["parquet", "released", "webdataset"], ...] = Field(min_length=1)
    part_rows: int = Field(ge=1, le=100_000)


class StoreSettings(Settings):
    """How imported pictures are stored.

    Attributes:
        part_size: Pictures in a stored file: the most that a crash can lose, and in memory at a time.
        shard_digits: Hex digits of the image id that name a shard: 16 shards per digit.
    """

    part_size: int = Field(ge=1, le=100_000)
    shard_digits: int = Field(ge=1, le=4)


class ImportSettings(StoreSettings):
    """How rows of others become training rows.

    Attributes:
        dev_share: Share of the rows that dev gets, of those whose owner gives no split.
        owners_split: Keep the split that a row gives (``train`` or ``dev``). It is an error then if a concept or a
            picture lies on both sides. False splits all rows anew.
        max_refused_share: A larger share of refused rows stops the import.
        near_duplicate_bits: Largest distance, in bits of 64, of near-duplicates of held-out pictures; null compares
            pixels alone.
    """

    dev_share: float = Field(ge=0, lt=1)
    owners_split: bool
    max_refused_share: float = Field(ge=0, le=1)
    near_duplicate_bits: int | None = Field(ge=0, le=32)


class ModelExportSettings(Settings):
    """Which tuned model is exported, and how.

    Attributes:
        name: Name of the model, as in a hub's address.
        training: Its name, as the score tables name it: ``cultureclip_s1``, or ``cultureclip_s1@0.70`` for a share of
            its update that was evaluated.
        licence: Identifier of the licence under which the weights go out, such as ``apache-2.0``; nothing is exported
            without one.
        formats: Written beside the open_clip directory: ``transformers``, ``peft``, ``onnx``.
    """

    name: PublishedName
    training: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")] | None = None
    formats: tuple[Literal["transformers", "peft", "onnx"], ...] = ()
