"""Reasons why an image is not used."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an image is not used."""

    NOT_GENERATED = "not_generated"
    UNREADABLE = "unreadable"
    NOT_RATED = "not_rated"
    NO_BETTER_THAN_CHANCE = "no_better_than_chance"
    CLOSER_TO_TWIN = "closer_to_twin"
    LOWEST_RATING = "lowest_rating"
    LOW_MEAN_RATING = "low_mean_rating"
    LIKE_ANOTHER_CONCEPT = "like_another_concept"
    TEXT_IN_PICTURE = "text_in_picture"
    UNSAFE = "unsafe"
    OTHER_CULTURE = "other_culture"
    NOT_GRADED = "not_graded"
    DUPLICATE = "duplicate"
    TWIN_INCOMPLETE = "twin_incomplete"


FAILURES = (Reason.NOT_GENERATED, Reason.UNREADABLE, Reason.NOT_RATED, Reason.NOT_GRADED)
"""Reasons that say nothing about the image's content: its verdict is ``failed``, not ``rejected``."""
