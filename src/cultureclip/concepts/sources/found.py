"""A row of a source: in the owner's words, and in those of the concepts table."""

from dataclasses import dataclass

from cultureclip.concepts.sources.tally import NAME_TOO_LONG, NAME_UNFIT, NO_NAME, Tally
from cultureclip.concepts.texts import (
    CELL_LIMIT,
    ITEM_LIMIT,
    ITEMS_LIMIT,
    NAME_LIMIT,
    find_invisible,
    find_unfit,
    has_word,
    shorten,
    tidy,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an owner's row says, in the owner's words.

    Attributes:
        place: File and line, for messages.
        name: Name of the thing; empty if the owner gives none.
        countries: Names or codes of countries.
        category: The owner's category.
        universal: Kind of thing, such as soup.
        context: A sentence on it.
        features: What one sees.
        aliases: Other names.
        ref: Address, or place in the owner's files.
        language: Code of the name's language; empty if unknown.
        wikidata: Its Wikidata id; empty if unknown.
        reference_images: Paths of pictures, or a scheme's reference as the atlas writes it; the first stands for the
            thing.
        picture_url: Address of a picture. It is kept as a text; nothing is downloaded.
        picture_licence: Licence of that picture.
        licence: Licence of this row, where it differs from the source's.
        terms: Use that is allowed of this row, where it differs from the source's.
    """

    place: str
    name: str
    countries: tuple[str, ...]
    category: str
    ref: str
    universal: str = ""
    context: str = ""
    features: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    language: str = ""
    wikidata: str = ""
    reference_images: tuple[str, ...] = ()
    picture_url: str = ""
    picture_licence: str = ""
    licence: str = ""
    terms: str = ""


@dataclass(slots=True, kw_only=True)
class Row:
    """A row of a source in the words of the concepts table.

    Attributes:
        found: The owner's words, tidied.
        cultures: Region codes.
        category: One of the eight; empty if the owner's is not mapped.
        source: Name of the source, for readers.
        licence: Licence of the facts.
        terms: Use that is allowed.
        problem: Why it cannot be a concept by itself; empty if it can.
        curated: Whether its owner checked its rows against each other, so that none is another's duplicate.
    """

    found: Found
    cultures: tuple[str, ...]
    category: str
    source: str
    licence: str
    terms: str
    problem: str = ""
    curated: bool = False


def tidy_texts(found: Found, tally: Tally) -> Found:
    """Return an owner's words in one form; other names that no name may be like are left out and counted."""
    name = tidy(found.name)
    aliases = dict.fromkeys(tidy(alias) for alias in found.aliases)
    kept = [a for a in aliases if a and a != name and not name_problem(a, ITEM_LIMIT)][:ITEMS_LIMIT]
    tally.aliases_left_out += len(aliases) - len(kept) - (name in aliases) - ("" in aliases)
    features = (tidy(feature) for feature in found.features)
    return Found(
        place=found.place,
        name=name,
        countries=tuple(visible(tidy(country), ITEM_LIMIT) for country in found.countries),
        category=visible(tidy(found.category), ITEM_LIMIT),
        ref=visible(found.ref, CELL_LIMIT) or found.place,
        universal=visible(tidy(found.universal), ITEM_LIMIT),
        context=visible(tidy(found.context), CELL_LIMIT),
        features=tuple(f for f in features if f and len(f) <= ITEM_LIMIT and not find_invisible(f))[:ITEMS_LIMIT],
        aliases=tuple(kept),
        language=visible(found.language, ITEM_LIMIT),
        wikidata=visible(found.wikidata, ITEM_LIMIT),
        reference_images=found.reference_images,
        picture_url=visible(found.picture_url, CELL_LIMIT),
        picture_licence=visible(found.picture_licence, ITEM_LIMIT),
        licence=visible(found.licence, ITEM_LIMIT),
        terms=found.terms.strip(),
    )


def visible(text: str, limit: int) -> str:
    """Return a text without characters that cannot be seen and without spaces around it, cut to a length."""
    text = text.strip()
    while char := find_invisible(text):
        text = text.replace(char, "")
    return shorten(text, limit)


def name_problem(name: str, limit: int = NAME_LIMIT) -> str:
    """Return why a concept cannot have a name; empty if it can."""
    if not name or not has_word(name):
        return NO_NAME
    if len(name) > limit:
        return NAME_TOO_LONG
    return NAME_UNFIT if find_invisible(name) or find_unfit(name) else ""
