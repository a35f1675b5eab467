"""GlobalRG-Grounding: which of four things of one region does the picture show?

Only regions with at least four concepts are asked about; the three distractors are other concepts of the region.
"""

from collections import defaultdict
from collections.abc import Sequence

from cultureclip.benchmarks.items import (
    DISTRACTORS,
    Question,
    QuestionSet,
    Shown,
    Unposed,
    draw_distractors,
    item_key,
    part_of,
)

NAME = "globalrg-grounding"
TEMPLATE = "The item in the picture is {concept} in {region}"


def ask_grounding(items: Sequence[Shown]) -> QuestionSet:
    """One four-way question for every (concept, region) whose region has at least four concepts.

    A concept that is drawn exactly as this one is never its distractor: no model could tell them apart.

    Args:
        items: Concepts with pictures; a concept at home in several regions is asked about in each.
    """
    by_region: dict[str, dict[str, Shown]] = defaultdict(dict)
    for item in items:
        for region in item.regions:
            by_region[region][item.concept_id] = item
    questions, unposed = [], []
    for region, concepts in sorted(by_region.items()):
        for _, item in sorted(concepts.items()):
            label = f"{item.name} in {region}"
            if len(concepts) <= DISTRACTORS:
                unposed.append(Unposed(label, "region has fewer than four concepts"))
                continue
            question = _ask(item, region, concepts)
            if question is None:
                unposed.append(Unposed(label, "fewer than three distinguishable distractors"))
            else:
                questions.append(question)
    return QuestionSet(tuple(questions), tuple(unposed))


def _ask(item: Shown, region: str, concepts: dict[str, Shown]) -> Question | None:
    item_id = item_key("accuracy", NAME, item.concept_id, region)
    same_name = {other.concept_id for other in concepts.values() if other.name == item.name}
    drawn = draw_distractors(concepts, {item.concept_id, *item.alike, *same_name}, item_id)
    if drawn is None:
        return None
    names = (item.name, *(concepts[other].name for other in drawn))
    options = tuple(TEMPLATE.format(concept=name, region=region) for name in names)
    return Question(item_id, item.image, options, item.concept_id, part_of(item.concept_id))
