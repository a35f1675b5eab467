"""Words for kinds of things, each with one of the eight categories, for sources that give sentences alone."""

import re
from collections.abc import Mapping
from functools import lru_cache

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

KINDS = {word: category for category, words in _WORDS.items() for word in words.split(", ")}
"""Word -> category."""


def find_kind(sentence: str, kinds: Mapping[str, str]) -> str:
    """Return the first of several words that a sentence has, in the singular or with an s; empty if it has none."""
    found = _pattern(tuple(kinds)).search(sentence)
    return found[1].lower() if found else ""


def kind_of_name(name: str, kinds: Mapping[str, str]) -> str:
    """Return the last of several words that a name has, as a fish curry is a curry; empty if it has none."""
    found = _pattern(tuple(kinds)).findall(name)
    return found[-1].lower() if found else ""


@lru_cache(maxsize=16)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(longest_first)})(?:e?s)?\b", re.IGNORECASE)
