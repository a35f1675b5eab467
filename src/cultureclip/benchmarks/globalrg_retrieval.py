"""GlobalRG-Retrieval: from which of four regions is the thing in the picture?

Only universals (kinds of thing) at home in at least four regions are asked about; the distractors are other regions.
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

NAME = "globalrg-retrieval"
TEMPLATE = "The picture depicts a kind of {universal} in {region}"


def ask_retrieval(items: Sequence[Shown]) -> QuestionSet:
    """One four-way question for every (concept, region) whose universal has at least four regions.

    A region that the concept also belongs to is no distractor, for it would be right; nor is a region of a concept
    that is drawn exactly as this one.
    """
    regions: dict[str, set[str]] = defaultdict(set)
    for item in items:
        regions[item.universal].update(item.regions)
    home = {item.concept_id: item.regions for item in items}
    questions, unposed = [], []
    for item in sorted(items, key=lambda item: item.concept_id):
        also_right = {*item.regions, *(region for other in sorted(item.alike) for region in home.get(other, ()))}
        for region in item.regions:
            label = f"{item.universal} in {region}: {item.name}"
            item_id = item_key("accuracy", NAME, item.concept_id, region)
            if len(regions[item.universal]) <= DISTRACTORS:
                unposed.append(Unposed(label, "universal has fewer than four regions"))
                continue
            drawn = draw_distractors(regions[item.universal], also_right, item_id)
            if drawn is None:
                unposed.append(Unposed(label, "fewer than three wrong regions"))
                continue
            options = tuple(TEMPLATE.format(universal=item.universal, region=name) for name in (region, *drawn))
            questions.append(Question(item_id, item.image, options, item.concept_id, part_of(item.concept_id)))
    return QuestionSet(tuple(questions), tuple(unposed))
