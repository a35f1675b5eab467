"""Words for kinds of things, each with one of the eight categories, for sources that give sentences alone."""

import re
from collections.abc import Iterable, Iterator

_WORDS = {
    "Cuisine": "appetizer, beverage, biscuit, bread, broth, cake, candy, cheese, condiment, confection, confectionery, "
    "cookie, curry, delicacy, dessert, dish, drink, dumpling, flatbread, food, fritter, liquor, noodle, pancake, "
    "pastry, pickle, porridge, pudding, salad, sauce, sausage, snack, soup, spirit, stew, sweet, tea, wine",
    "Clothing": "apron, belt, boot, cap, clothing, coat, costume, dress, footwear, garment, gown, hat, headdress, "
    "headgear, headwear, jacket, jewellery, jewelry, necklace, robe, sandal, saree, sari, sash, scarf, shawl, shirt, "
    "shoe, skirt, trousers, turban, veil, vestment",
    "Animals & Plants": "animal, bird, breed, cattle, dog, fish, flower, fruit, grass, herb, horse, plant, shrub, "
    "tree, vegetable",
    "Art": "ballad, calligraphy, carving, craft, dance, drama, drum, embroidery, flute, handicraft, instrument, lute, "
    "music, painting, pottery, puppet, puppetry, sculpture, song, textile, theatre, weaving",
    "Architecture": "arch, bridge, building, castle, cathedral, church, fort, fortress, gate, gateway, house, hut, "
    "minaret, monastery, monument, mosque, pagoda, palace, shrine, stupa, temple, tomb, tower",
    "Daily Life": "board game, boat, game, lamp, martial art, mat, pot, sport, stove, tool, toy, utensil, vehicle, "
    "vessel, weapon",
    "Symbol": "amulet, coat of arms, deity, emblem, flag, goddess, mascot, symbol, talisman",
    "Festival": "carnival, celebration, ceremony, feast, festival, holiday, ritual",
}

_WORD = re.compile(r"[^\W_]+")

KINDS = {word: category for category, words in _WORDS.items() for word in words.split(", ")}
"""Word -> category."""


class KindFinder:
    """Finds words for kinds of things in texts, in the singular or with an s."""

    def __init__(self, kinds: Iterable[str]) -> None:
        """Prepare.

        Args:
            kinds: Words, or several words with spaces between them, in any case.
        """
        self._forms = {form: kind.lower() for kind in kinds for form in _plurals(kind.lower())}
        self._longest: dict[str, int] = {}
        """First word -> most words of a kind that begins with it."""
        for form in self._forms:
            first, *rest = form.split()
            self._longest[first] = max(self._longest.get(first, 1), 1 + len(rest))

    def first(self, sentence: str) -> str:
        """Return the first kind that a sentence names, the longest one there; empty if it names none."""
        return next(self._find(sentence), "")

    def last(self, name: str) -> str:
        """Return the last kind in a name, as a fish curry is a curry; empty if there is none."""
        return ([*self._find(name)] or [""])[-1]

    def _find(self, text: str) -> Iterator[str]:
        words = _WORD.findall(text.lower())
        for place, word in enumerate(words):
            for length in range(self._longest.get(word, 0), 0, -1):
                kind = self._forms.get(" ".join(words[place : place + length]))
                if kind:
                    yield kind
                    break


def _plurals(kind: str) -> tuple[str, ...]:
    return kind, f"{kind}s", f"{kind}es"
