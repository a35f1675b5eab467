"""GlobalRG-Retrieval (Bhatia et al., 2024, arXiv 2407.00263): from which region is the thing in the picture?

CultureCLIP uses a four-way simplification: only universals (kinds of thing) at home in at least four regions are asked
about, and the wrong options are other regions of the universal. Every picture makes one question per region.
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
    several_pictures,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import ask_shown
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows
from cultureclip.ids import digest

SALT = "globalrg-retrieval"
"""Part of every item's id; another salt would give the same items other ids."""
TEMPLATE = "The picture depicts a kind of {universal} in {region}"


def ask_retrieval(items: Sequence[Shown], variant: Variant = "as_published") -> QuestionSet:
    """Make one question per (picture, region) whose universal has at least four regions.

    A region of the concept itself is not a distractor, because it would be right. A region of another concept that the
    picture also shows is not a distractor either.

    Args:
        items: Pictures with concepts.
        variant: Three wrong regions drawn, or all of the universal.
    """
    regions: dict[str, set[str]] = defaultdict(set)
    home: dict[str, set[str]] = defaultdict(set)
    for item in items:
        regions[item.universal].update(item.regions)
        home[item.concept_id].update(item.regions)
    several = several_pictures(items)
    asked: dict[str, Question] = {}
    changed: list[Changed] = []
    unposed = [Unposed(item.name, "names no region") for item in items if not item.regions]
    for item in sorted(items, key=lambda item: (item.concept_id, item.image)):
        also_right = {region for same in (item.concept_id, *item.alike) for region in home.get(same, ())}
        for region in item.regions:
            fields = (item.concept_id, region, *((item.image,) if item.concept_id in several else ()))
            item_id = item_key(METRICS[variant], SALT, *fields)
            drawn = draw_distractors(regions[item.universal], also_right, item_id, variant)
            reason = _reason(item, len(regions[item.universal]), drawn, repeated=item_id in asked)
            if reason or drawn is None:
                unposed.append(Unposed(f"{item.universal} in {region}: {item.name}", reason))
                continue
            options = tuple(TEMPLATE.format(universal=item.universal, region=name) for name in (region, *drawn))
            if also_right & regions[item.universal] - home[item.concept_id]:
                changed.append(Changed(f"{item.universal} in {region}: {item.name}", ALSO_RIGHT))
            shuffled_by = "" if variant == "fair" else item_id
            asked[item_id] = item.ask(item_id, options, region, shuffled_by=shuffled_by)
    return QuestionSet(tuple(asked.values()), tuple(unposed), tuple(changed))


def _reason(item: Shown, regions: int, drawn: Sequence[str] | None, *, repeated: bool) -> str:
    """Say why nothing can be asked; empty if something can."""
    if repeated:
        return "the same picture and region were asked about before"
    if not item.universal:
        return "names no universal"
    if regions <= DISTRACTORS:
        return "universal has fewer than four regions"
    return "fewer than three wrong regions" if drawn is None else ""


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask GlobalRG-Retrieval. Columns: ``image``, ``universal``, ``region``."""
    complete, left_out = complete_rows(intake, "universal", "region")
    items = [
        Shown(
            concept_id=digest("concept", universal, region),
            name=universal,
            universal=universal,
            regions=(region,),
            image=image,
            category=universal,
        )
        for _, image, (universal, region) in complete
    ]
    return build_choices(declaration, intake, ask_shown(declaration, ask_retrieval, items), left_out)


PROTOCOL = Protocol(
    question="From which region is this kind of thing?",
    benchmark=ChoiceBenchmark,
    build=build,
    columns=(IMAGE, "universal", "region"),
    metrics=("accuracy",),
    exported={"accuracy": "acc"},
    has_published_variant=True,
)
