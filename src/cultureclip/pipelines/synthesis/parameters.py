"""Parameters of the synthesis stage."""

from pydantic import Field

from cultureclip.concepts.exclusions import Excluding
from cultureclip.images.settings import GenerationSettings


class SynthesisParameters(GenerationSettings, Excluding):
    """Which images are generated, and how.

    Attributes:
        images_per_caption: Images per caption.
        shard_digits: Hex digits of the image id that name a shard: 16 shards per digit.
        verify: Compare every stored byte with its checksum before generating. Switch off for stores of many GB; sizes
            are compared always, and so is every byte that is read.
        contact_sheet_images: Images on the contact sheet.
    """

    images_per_caption: int = Field(ge=1, le=1000)
    shard_digits: int = Field(ge=1, le=4)
    verify: bool
    contact_sheet_images: int = Field(ge=2, le=400)
