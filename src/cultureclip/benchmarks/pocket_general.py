"""General ability of pocket models: retrieval of emoji that are not culture-bound, in both drawing styles.

No pocket model has seen any of the held-out tenth. Of the other emoji the base has seen pictures and names. Those that
no training replays show what tuning makes the base forget.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from cultureclip.benchmarks.protocols.benchmark import Declaration
from cultureclip.benchmarks.protocols.image_text_retrieval import Captioned, ImageTextRetrievalBenchmark
from cultureclip.benchmarks.protocols.items import part_of, picture_key
from cultureclip.ids import hash_fraction
from cultureclip.pictures.emoji import LICENCES, STYLES, Emoji, list_emoji, render, split_emoji

CAPTION = "a picture of {name}"
KNOWN_DEV_SHARE = 0.5
"""Share of the families of general-known in its dev part: a choice needs an estimate finer than its limit."""

HELD_OUT = Declaration(
    name="general-retrieval",
    title="General retrieval",
    question="Which caption belongs to which picture, among all general things held out?",
    source="OpenMoji and Twemoji drawings of the held-out tenth of the general emoji",
    licence=f"{LICENCES['openmoji']}, {LICENCES['twemoji']}",
    holds_out="images",
)
KNOWN = replace(
    HELD_OUT,
    name="general-known",
    title="General things the base knows",
    question="Which caption belongs to which picture, among general things that the base has learned?",
    source="OpenMoji and Twemoji drawings of general emoji in the base's training and not in the tuning's replay",
)


def general_benchmark(culture_chars: set[str], edge: int) -> ImageTextRetrievalBenchmark:
    """Build retrieval of the held-out tenth of the general emoji, in both styles, with up to two captions each.

    Args:
        culture_chars: The emoji that are culture-bound; neither they nor variants of them are general.
        edge: Edge of the pictures in pixels.
    """
    roles = split_emoji(list_emoji(), culture_chars)
    held_out = [(entry, part_of(entry.family)) for entry in list_emoji() if roles[entry.char] == "held_out"]
    return _emoji_retrieval(HELD_OUT, held_out, edge)


def known_benchmark(culture_chars: set[str], edge: int) -> ImageTextRetrievalBenchmark:
    """Build retrieval of general emoji that the base has seen with their names and that no training replays.

    The base finds nearly all of these emoji, so a tuned model that finds fewer has forgotten some. This is a sharper
    measure of a tuning's cost than emoji that the base hardly knows.

    Args:
        culture_chars: The emoji that are culture-bound; neither they nor variants of them are general.
        edge: Edge of the pictures in pixels.
    """
    roles = split_emoji(list_emoji(), culture_chars)
    general = [entry for entry in list_emoji() if roles[entry.char] == "general"]
    known = [(entry, _known_part(entry)) for entry in general if not entry.is_replayed]
    replayed = {
        picture_key(render(entry.char, style, edge)) for entry in general if entry.is_replayed for style in STYLES
    }
    return _emoji_retrieval(KNOWN, known, edge, without=replayed)


def _known_part(entry: Emoji) -> str:
    return "dev" if hash_fraction(entry.family, "general-known-part") < KNOWN_DEV_SHARE else "test"


def _emoji_retrieval(
    declaration: Declaration, entries: Sequence[tuple[Emoji, str]], edge: int, without: Collection[str] = ()
) -> ImageTextRetrievalBenchmark:
    """Build retrieval of emoji, each with its part, in both styles; leave out pictures drawn alike elsewhere."""
    found: dict[str, Captioned] = {}
    images = {}
    for entry, part in entries:
        names = dict.fromkeys((entry.name, *entry.aliases[:1]))
        captions = tuple(CAPTION.format(name=name) for name in names)
        for style in STYLES:
            pixels = render(entry.char, style, edge)
            key = picture_key(pixels)
            if key in without:
                continue
            images[key] = pixels
            # Two emoji drawn alike are one picture, with the captions of both.
            before = found[key].captions if key in found else ()
            found[key] = Captioned(
                image=key, captions=tuple(dict.fromkeys((*before, *captions))), family=entry.family, part=part
            )
    return ImageTextRetrievalBenchmark(declaration, images, tuple(found.values()))


BENCHMARKS: dict[str, Callable[[set[str], int], ImageTextRetrievalBenchmark]] = {
    HELD_OUT.name: general_benchmark,
    KNOWN.name: known_benchmark,
}
"""Name -> function that builds the benchmark from the culture-bound emoji and the edge of the pictures."""
