"""GlobalRG-Grounding (Bhatia et al., 2024, arXiv 2407.00263): which thing of this region does the picture show?

CultureCLIP uses a four-way simplification: only regions with at least four concepts are asked about, and the wrong
options are other concepts of the region. Every picture makes one question per region.
"""

from collections import defaultdict
from collections.abc import Sequence

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, build_choices
from cultureclip.benchmarks.protocols.items import (
    ALSO_RIGHT,
    DISTRACTORS,
    METRICS,
    Changed,
    Question,
    QuestionSet,
    Shown,
    Unposed,
    Variant,
    draw_distractors,
    item_key,
    named_concept,
    several_pictures,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import ask_shown
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows

SALT = "globalrg-grounding"
"""Part of every item's id; another salt would give the same items other ids."""
TEMPLATE = "The item in the picture is {concept} in {region}"


def ask_grounding(items: Sequence[Shown], variant: Variant = "as_published") -> QuestionSet:
    """Make one question per (picture, region) whose region has at least four concepts.

    A concept that the picture also shows is never a distractor, because it would be a second right answer.

    Args:
        items: Pictures with concepts; a concept at home in several regions is asked about in each.
        variant: Three wrong options drawn, or all of the region.
    """
    concepts: dict[str, dict[str, str]] = defaultdict(dict)
    for item in items:
        for region in item.regions:
            if item.name:  # a text without a name is not an option
                concepts[region][item.concept_id] = item.name
    several = several_pictures(items)
    asked: dict[str, Question] = {}
    changed: list[Changed] = []
    unposed = [Unposed(item.name, "names no region") for item in items if not item.regions]
    pairs = sorted(((region, item) for item in items for region in item.regions), key=_order)
    for region, item in pairs:
        fields = (item.concept_id, region, *((item.image,) if item.concept_id in several else ()))
        item_id = item_key(METRICS[variant], SALT, *fields)
        reason, names = _names(item, concepts[region], item_id, variant)
        if item_id in asked:
            reason = "the same picture and concept were asked about before"
        if reason:
            unposed.append(Unposed(f"{item.name} in {region}", reason))
            continue
        if any(concepts[region].get(other, item.name) != item.name for other in item.alike):
            changed.append(Changed(f"{item.name} in {region}", ALSO_RIGHT))
        options = tuple(TEMPLATE.format(concept=name, region=region) for name in names)
        shuffled_by = "" if variant == "fair" else item_id
        asked[item_id] = item.ask(item_id, options, region, shuffled_by=shuffled_by, names=names)
    return QuestionSet(tuple(asked.values()), tuple(unposed), tuple(changed))


def _order(pair: tuple[str, Shown]) -> tuple[str, str, str]:
    region, item = pair
    return region, item.concept_id, item.image


def _names(item: Shown, concepts: dict[str, str], item_id: str, variant: Variant) -> tuple[str, tuple[str, ...]]:
    """Return why nothing can be asked, or an empty reason and the names in the options, the right one first."""
    if not item.name:
        return "names no concept", ()
    if len(concepts) <= DISTRACTORS:
        return "region has fewer than four concepts", ()
    wrong = {other: name for other, name in concepts.items() if other not in item.alike and name != item.name}
    # Offer only one of several concepts with the same name, or an option would appear twice.
    by_name = {name: other for other, name in sorted(wrong.items(), reverse=True)}
    drawn = draw_distractors(by_name.values(), {item.concept_id}, item_id, variant)
    if drawn is None:
        return "fewer than three distinguishable distractors", ()
    return "", (item.name, *(concepts[other] for other in drawn))


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask GlobalRG-Grounding. Columns: ``image``, ``concept``, ``region``."""
    complete, left_out = complete_rows(intake, "concept", "region")
    items = [
        Shown(concept_id=named_concept(concept), name=concept, universal="", regions=(region,), image=image)
        for _, image, (concept, region) in complete
    ]
    return build_choices(declaration, intake, ask_shown(declaration, ask_grounding, items), left_out)


PROTOCOL = Protocol(
    question="Which thing of this region is it?",
    benchmark=ChoiceBenchmark,
    build=build,
    columns=(IMAGE, "concept", "region"),
    metrics=("accuracy",),
    exported={"accuracy": "acc"},
    names_concepts=True,
    has_published_variant=True,
)
