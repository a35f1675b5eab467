"""Settings of mining: the bottom-up pass over titles, the merging of rows, and the matching of twins."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cultureclip.concepts.pictures import PictureSettings
from cultureclip.models.chat.settings import ChatSettings
from cultureclip.settings_base import Settings

View = Literal["left_right", "upside_down", "half_turn"]
"""How a picture is seen beside upright: mirrored left to right or top to bottom, or turned by 180 degrees."""

OTHER_KIND = "other"
"""Kind of all concepts whose universal has no quota of its own."""


class BottomUpSettings(Settings):
    """The bottom-up pass over titles: what it learns from, and whose concepts it checks.

    Attributes:
        enabled: Whether it runs.
        titles: CSV of titles of which it is known whether they are concepts; see docs/sources.md.
        language_model: Who is asked; one that sees is shown the titles' pictures.
        options: The two answers to the question whether a title is a concept; it is asked twice, the answers exchanged.
        show_pictures: Whether the model is shown pictures.
        pictures: How pictures are fetched that a source gives the address of; None: only files are shown.
        tries: Most times that a question is asked until its answer has the right form.
        category_by: Who tells the category.
        learn_from: Subsets of the sample on whose dev part thresholds are chosen; None: all.
        checks: Kinds of sources whose concepts are checked; those that are refused are left out.
        folds: Folds of the cross-validation in the dev part.
        resamples: Bootstrap samples per interval.
    """

    enabled: bool
    titles: str = Field(min_length=1)
    language_model: ChatSettings
    options: tuple[str, str]
    show_pictures: bool = False
    pictures: PictureSettings | None = None
    tries: int = Field(default=2, ge=1, le=20)
    category_by: Literal["sentence_encoder", "language_model"] = "sentence_encoder"
    learn_from: tuple[str, ...] | None = Field(default=None, min_length=1)
    checks: tuple[str, ...] = ()
    folds: int = Field(ge=2, le=20)
    resamples: int = Field(ge=100, le=100_000)


class SearchSettings(Settings):
    """The search for look-alikes in a category: exact, or in cells of similar concepts.

    Attributes:
        exact_up_to: Largest category, in concepts, that is searched exactly.
        recall: Share of the neighbours of a sample that the cells to look into must hold.
        sample: Concepts in that sample.
    """

    exact_up_to: int = Field(ge=0)
    recall: float = Field(gt=0, le=1)
    sample: int = Field(ge=1)


class TwinSettings(Settings):
    """Matching on two axes.

    Attributes:
        picture_size: Edge in pixels at which reference pictures are compared.
        indistinguishable_below: Mean absolute difference in grey levels, in any drawing style, below which two
            drawings are the same.
        views: Kind -> views of its pictures beside the upright one, whose embeddings are averaged: looks are compared
            up to them. A kind that is not named has none. A file, which may be a photograph, is never turned over,
            whatever its kind: of it only ``left_right`` counts.
        pictures: Most reference pictures that a concept's look is measured on.
        fetch: How pictures are fetched that sources give the addresses of; None: only files and drawings count.
        neighbours: Look-alikes of other cultures that are considered for each concept.
        search: How they are found.
        context_weight: Weight with which closeness of contexts lowers the score.
        min_visual_similarity: Smallest cosine of looks in a twin.
        min_chance_quantile: Smallest share of random pairs of the category, of other cultures, that are less alike than
            a twin; it means the same for every judge.
        min_kind_similarity: Smallest cosine of the sentence embeddings of a twin's universals: how near the two
            kinds of things are to each other.
        max_cultural_overlap: Largest cosine of the contexts of a twin.
        max_shared_features: Largest share of the key visual features of either side of a twin that both have.
        max_twins_per_concept: Most twins that one concept is in.
        max_twins_per_kind: Most twins of a kind. A universal that is named is a kind of its own, matched with itself
            alone; :data:`OTHER_KIND` are all others together.
        max_twins_per_category: Most twins of the categories that are named.
        max_twins_per_culture: Most twins that one culture is in; None sets no limit.
        dev_share: Share of the twins of each kind that go to the dev split.
        cover_evenly: Whether twins are chosen so that concepts and cultures have about equally many, or by score
            alone.
        representativeness_weight: How much it counts that a twin's concepts stand for what its cultures have.
        distinctiveness_weight: How much it counts that their contexts are far from other cultures'.
        rejected_shown: Candidates that were not taken, listed in the evidence for each side of a twin.
        rejected_kept: Most refused pairs that the table keeps for each reason: the most alike.
    """

    picture_size: int = Field(ge=16, le=1024)
    indistinguishable_below: float = Field(ge=0, lt=32)
    views: dict[str, tuple[View, ...]] = Field(default_factory=dict)
    pictures: int = Field(default=1, ge=1, le=100)
    fetch: PictureSettings | None = None
    neighbours: int = Field(ge=1, le=1000)
    search: SearchSettings
    context_weight: float = Field(ge=0, le=1)
    min_visual_similarity: float = Field(ge=-1, le=1)
    min_chance_quantile: float = Field(ge=0, le=1)
    min_kind_similarity: float = Field(ge=-1, le=1)
    max_cultural_overlap: float = Field(ge=0, le=1)
    max_shared_features: float = Field(ge=0, le=1)
    max_twins_per_concept: int = Field(ge=1)
    max_twins_per_kind: dict[str, Annotated[int, Field(ge=0)]]
    max_twins_per_category: dict[str, Annotated[int, Field(ge=0)]]
    max_twins_per_culture: int | None = Field(ge=1)
    dev_share: float = Field(ge=0, lt=1)
    cover_evenly: bool
    representativeness_weight: float = Field(ge=0, le=10)
    distinctiveness_weight: float = Field(ge=0, le=10)
    rejected_shown: int = Field(ge=0)
    rejected_kept: int = Field(ge=0)

    @field_validator("max_twins_per_kind")
    @classmethod
    def _limits_the_others(cls, limits: dict[str, int]) -> dict[str, int]:
        if OTHER_KIND not in limits:
            raise ValueError(f"must name {OTHER_KIND!r}, the limit of everything that is no kind of its own")
        return limits

    @model_validator(mode="after")
    def _views_are_of_kinds(self) -> Self:
        if unknown := sorted(self.views.keys() - self.max_twins_per_kind.keys()):
            kinds = ", ".join(self.max_twins_per_kind)
            raise ValueError(f"views: {', '.join(unknown)}: no kind; max_twins_per_kind names {kinds}")
        return self

    @field_validator("max_twins_per_category")
    @classmethod
    def _names_categories(cls, limits: dict[str, int]) -> dict[str, int]:
        if limits:
            from cultureclip.tables import CATEGORIES  # schemas are slow to import, and most configurations limit none

            if unknown := sorted(limits.keys() - set(CATEGORIES)):
                raise ValueError(f"{', '.join(unknown)}: no category; use {', '.join(CATEGORIES)}")
        return limits


class MergeSettings(Settings):
    """When rows of several sources are one concept, and when one is too general.

    Attributes:
        similarity: Least similarity of the keys of two names that are nearly equal, of 100 (``rapidfuzz.fuzz.ratio``).
        min_length: Least number of characters of a key that proves something across spellings and scripts.
        generic_from: Cultures from which on a concept is generic, belongs to none, and is left out; those of a curated
            source stay.
    """

    similarity: float = Field(ge=50, le=100)
    min_length: int = Field(ge=1, le=20)
    generic_from: int = Field(ge=2)
