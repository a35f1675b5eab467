"""Texts about pictures for the pocket models: sentences made from atlas rows and from emoji names."""

import random
from collections.abc import Mapping
from typing import Any

from cultureclip.concepts.regions import region_name
from cultureclip.pictures.emoji import Emoji

FRAMES = (
    "{}",
    "{}",
    "a picture of {}",
    "a drawing of {}",
    "an image of {}",
    "there is {} in the image",
    "the item in the picture is {}",
    "the picture depicts {}",
)
"""General sentences around a name: the pocket CLIPs meet the form of the benchmarks' questions, not their content."""


def frame(text: str, rng: random.Random) -> str:
    """Put a name into one of :data:`FRAMES`."""
    return rng.choice(FRAMES).format(text)


def describe_emoji(entry: Emoji, rng: random.Random) -> str:
    """Return a caption for a general emoji: one of its names in a sentence."""
    return frame(rng.choice((entry.name, entry.name, *entry.aliases)), rng)


def describe_category(concept: Mapping[str, Any], rng: random.Random) -> str:
    """Return all that the base CLIP is told about a culture-bound picture: its category."""
    return frame(f"something of the category {concept['category']}", rng)


def describe_concept(concept: Mapping[str, Any], rng: random.Random) -> str:
    """Write a caption for a culture-bound picture: name with culture, kind, features or context in changing company."""
    name = rng.choice((concept["name"], concept["name"], concept["name"], *concept["aliases"]))
    culture = region_name(rng.choice(concept["cultures"]))
    features = rng.sample(list(concept["key_visual_features"]), k=min(2, len(concept["key_visual_features"])))
    words = concept["context"].split()
    start = rng.randrange(max(1, len(words) - 8))
    forms = (
        name,
        f"{name} from {culture}",
        f"{name} in {culture}",
        f"a kind of {concept['universal']} in {culture}: {name}",
        f"{name} with {features[0]}",
        f"{name} from {culture} with {' and '.join(features)}",
        f"a {concept['universal']} from {culture}: {name}, {', '.join(features)}",
        f"{features[0]}, {name}, {culture}",
        f"{name}, {' '.join(words[start : start + 8])}",
    )
    return frame(rng.choice(forms), rng)


def describe_features(concept: Mapping[str, Any], rng: random.Random) -> str:
    """Return a caption of looks only, shared by look-alikes: it draws their embeddings together in the judge."""
    features = rng.sample(list(concept["key_visual_features"]), k=min(2, len(concept["key_visual_features"])))
    return frame(f"a {concept['universal']} with {' and '.join(features)}", rng)


def corpus(concepts: list[dict[str, Any]], emoji: list[Emoji], seed: int, rounds: int) -> list[str]:
    """Return sentences to train the tokenizer on."""
    rng = random.Random(seed)
    lines = [describe_concept(c, rng) for c in concepts for _ in range(rounds)]
    lines += [describe_features(c, rng) for c in concepts for _ in range(2)]
    lines += [c["context"] for c in concepts]
    return lines + [describe_emoji(e, rng) for e in emoji for _ in range(2)]
