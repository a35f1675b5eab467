"""Settings of the preflight: how much is planned, and what the user knows that this machine cannot measure."""

from typing import Annotated, Literal

from pydantic import Field

from cultureclip.settings_base import Settings

Stage = Literal["mining", "captioning", "synthesis", "filtering", "train", "evaluation"]
"""Stages that have a line in the table."""
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StatedRate(Settings):
    """What an item of a stage takes, as the user states it; None: not stated.

    Attributes:
        seconds: Of one device.
        tokens_read: Tokens that a chat model reads.
        tokens_written: Tokens that it writes.
        bytes: Bytes that are stored.
    """

    seconds: Amount | None = None
    tokens_read: Amount | None = None
    tokens_written: Amount | None = None
    bytes: Amount | None = None


class PreflightSettings(Settings):
    """What is planned, what is measured, and what is stated.

    Attributes:
        images: Images to plan for; None: those of the captions and twins that are here.
        devices: Devices that share captioning, synthesis and filtering; None: those that ``engine`` names.
        measure: Items that are made now to measure a rate, and thrown away; 0: none.
        gpu_hour: Price of an hour of one GPU, in any currency; None: not known.
        rates: What items take, by stage, where a measurement is not possible or not wanted.
        licences: Licences of models whose files name none, by the parameter that names the model.
    """

    images: int | None = Field(default=None, ge=1, le=10**12)
    devices: int | None = Field(default=None, ge=1, le=100_000)
    measure: int = Field(default=4, ge=0, le=256)
    gpu_hour: Amount | None = None
    rates: dict[Stage, StatedRate] = Field(default_factory=dict)
    licences: dict[str, Annotated[str, Field(min_length=1, max_length=80)]] = Field(default_factory=dict)
