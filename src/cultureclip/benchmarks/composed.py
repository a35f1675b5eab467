"""Pictures composed of two others when they are read: a cue above an item, or an item on another background."""

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageOps

from cultureclip.benchmarks.pictures import Located
from cultureclip.reading.pictures import decode_image

Place = Literal["above", "background"]
"""Where a cue stands."""
EDGE = 1024
"""Longest side of an item in pixels: models do not use more."""
INSET = 0.6
"""Share of a background's sides that the item on it has."""


def stack(cue: Image.Image, item: Image.Image) -> Image.Image:
    """Return the item's picture below a cue of the same size: fitted whole, on white, in the middle.

    Args:
        cue: RGB.
        item: RGB; one of more than 1,024 pixels per side is shrunk to 1,024.
    """
    below = item.copy()
    below.thumbnail((EDGE, EDGE))
    stacked = Image.new("RGB", (below.width, 2 * below.height))
    stacked.paste(ImageOps.pad(cue, below.size, color="white"), (0, 0))
    stacked.paste(below, (0, below.height))
    return stacked


def inset(background: Image.Image, item: Image.Image) -> Image.Image:
    """Return a background of the item's size, filled by its middle, with the item at 60 % of its sides in the centre.

    Args:
        background: RGB.
        item: RGB; one of more than 1,024 pixels per side is shrunk to 1,024.
    """
    whole = item.copy()
    whole.thumbnail((EDGE, EDGE))
    made = ImageOps.fit(background, whole.size)
    small = whole.resize((max(1, round(whole.width * INSET)), max(1, round(whole.height * INSET))))
    made.paste(small, ((whole.width - small.width) // 2, (whole.height - small.height) // 2))
    return made


COMPOSE = {"above": stack, "background": inset}


@dataclass(frozen=True)
class Composed:
    """A picture composed of two others at each read: nothing is written beside the benchmark's files."""

    cue: Located
    item: Located
    place: Place = "above"

    def read(self) -> bytes:
        """Return the composed picture as BMP, which has the same bytes on every machine."""
        cue, item = (decode_image(where.read()) for where in (self.cue, self.item))
        buffer = io.BytesIO()
        COMPOSE[self.place](cue, item).save(buffer, "BMP")
        return buffer.getvalue()

    def stamp(self) -> str | None:
        """Return the stamps of both pictures."""
        cue, item = self.cue.stamp(), self.item.stamp()
        return cue and item and f"{self.place}|{cue}|{item}"
