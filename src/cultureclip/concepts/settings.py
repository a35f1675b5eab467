"""Settings of mining: the bottom-up pass over emoji names, and the matching of twins."""

from string import Formatter

from pydantic import Field, field_validator

from cultureclip.models.settings import LanguageModelSettings
from cultureclip.settings_base import Settings


class NameQuestion(Settings):
    """A question with two answers, asked of many names.

    Attributes:
        instruction: Text with ``{yes}`` and ``{no}`` in place of the two answers.
        options: The two answers; the question is asked twice, the options exchanged.
        examples: Names with the right answer.
    """

    instruction: str = Field(min_length=1)
    options: tuple[str, str]
    examples: tuple[tuple[str, bool], ...]

    @field_validator("instruction")
    @classmethod
    def _names_both_answers(cls, instruction: str) -> str:
        if {field for _, field, _, _ in Formatter().parse(instruction) if field is not None} != {"yes", "no"}:
            raise ValueError("must name {yes} and {no}, and no other field")
        return instruction

    def to_messages(self, yes: str, no: str) -> list[dict[str, str]]:
        """Return the chat turns before a name: instruction and worked examples, with these two words as answers."""
        turns = [{"role": "system", "content": self.instruction.format(yes=yes, no=no)}]
        for name, is_true in self.examples:
            turns += [{"role": "user", "content": name}, {"role": "assistant", "content": yes if is_true else no}]
        return turns


class BottomUpSettings(Settings):
    """The pass over all emoji names.

    Attributes:
        enabled: Whether it runs; not for concepts that are not emoji.
        language_model: Language model to ask.
        question: Question to ask.
        folds: Folds of the cross-validation in the dev part.
        resamples: Bootstrap samples per interval.
    """

    enabled: bool
    language_model: LanguageModelSettings
    question: NameQuestion
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
        compare_mirrored: Whether looks are compared up to mirroring.
        neighbours: Look-alikes of other cultures that are considered for each concept.
        search: How they are found.
        context_weight: Weight with which closeness of contexts lowers the score.
        min_visual_similarity: Smallest cosine of looks in a twin.
        min_chance_quantile: Smallest share of random pairs of the category, of other cultures, that are less alike than
            a twin; it means the same for every judge.
        max_cultural_overlap: Largest cosine of the contexts of a twin.
        max_shared_features: Largest share of the key visual features of either side of a twin that both have.
        max_twins_per_concept: Most twins that one concept is in.
        max_flag_twins: Most twins of flags.
        max_object_twins: Most twins of everything else.
        dev_share: Share of the twins of each kind that go to the dev split.
        cover_evenly: Whether twins are chosen so that concepts and cultures have about equally many, or by score
            alone.
        rejected_shown: Candidates that were not taken, listed in the evidence for each side of a twin.
    """

    picture_size: int = Field(ge=16, le=1024)
    indistinguishable_below: float = Field(ge=0, lt=32)
    compare_mirrored: bool
    neighbours: int = Field(ge=1, le=1000)
    search: SearchSettings
    context_weight: float = Field(ge=0, le=1)
    min_visual_similarity: float = Field(ge=-1, le=1)
    min_chance_quantile: float = Field(ge=0, le=1)
    max_cultural_overlap: float = Field(ge=0, le=1)
    max_shared_features: float = Field(ge=0, le=1)
    max_twins_per_concept: int = Field(ge=1)
    max_flag_twins: int = Field(ge=0)
    max_object_twins: int = Field(ge=0)
    dev_share: float = Field(ge=0, lt=1)
    cover_evenly: bool
    rejected_shown: int = Field(ge=0)


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
