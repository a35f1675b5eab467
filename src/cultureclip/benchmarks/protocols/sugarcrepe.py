"""SugarCrepe's format (Hsieh et al., 2023, arXiv 2306.14610): a picture, its caption, and a caption made wrong.

Pair accuracy is the share of pictures that are closer to the right caption; a tie earns half. So the order of the two
captions has no effect, and a collapsed model scores 50 %. (Code that gives a tie to the caption given first, which is
the right one, scores a collapsed model 100 %.)
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark, build_choices
from cultureclip.benchmarks.protocols.items import Question, QuestionSet, Unposed, item_key
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import right_answers
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of

SALT = "sugarcrepe"
"""Part of every item's id; another salt would give the same items other ids."""


@dataclass(frozen=True, kw_only=True)
class SugarCrepeItem:
    """A picture with two captions.

    Attributes:
        image: Key of the picture.
        caption: The right caption.
        wrong: The caption with an object, attribute or relation replaced, swapped or added.
        subset: How the caption was made wrong, e.g. ``swap_att``.
    """

    image: str
    caption: str
    wrong: str
    subset: str


def ask_sugarcrepe(pairs: Iterable[SugarCrepeItem]) -> QuestionSet:
    """Make one two-way question per pair, with the subset as category and the picture as cluster.

    A pair is left out if its wrong caption is the right one of the same picture in another pair.
    """
    pairs = list(pairs)
    right = right_answers((pair.image, pair.caption) for pair in pairs)
    asked: dict[str, Question] = {}
    unposed = []
    for pair in pairs:
        item_id = item_key("accuracy", SALT, pair.image, pair.caption, pair.wrong, pair.subset)
        reason = _reason(pair, repeated=item_id in asked, both_right=pair.wrong in right[pair.image])
        if reason:
            unposed.append(Unposed(f"{pair.subset}: {pair.caption or pair.image}", reason))
            continue
        options = (pair.caption, pair.wrong)
        asked[item_id] = Question(
            item_id=item_id,
            image=pair.image,
            options=options,
            cluster=pair.image,
            part="test",
            category=pair.subset,
        )
    return QuestionSet(tuple(asked.values()), tuple(unposed))


def _reason(pair: SugarCrepeItem, *, repeated: bool, both_right: bool) -> str:
    """Say why nothing can be asked; empty if something can."""
    if not pair.caption.strip() or not pair.wrong.strip():
        return "a caption is empty"
    if pair.caption == pair.wrong:
        return "both captions are the same"
    if both_right:
        return "both captions are right: another pair has the wrong one as the picture's own"
    return "the same picture and captions were asked about before" if repeated else ""


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask SugarCrepe. Columns: ``image``, ``caption``, ``negative_caption``; and ``subset``, which may be missing."""
    complete, left_out = complete_rows(intake, "caption", "negative_caption")
    asked = ask_sugarcrepe(
        SugarCrepeItem(image=image, caption=right, wrong=wrong, subset=text_of(row, "subset"))
        for row, image, (right, wrong) in complete
    )
    return build_choices(declaration, intake, asked, left_out)


PROTOCOL = Protocol(
    question="Which of two captions is right?",
    benchmark=ChoiceBenchmark,
    build=build,
    columns=(IMAGE, "caption", "negative_caption", "subset"),
    metrics=("accuracy",),
    exported={"accuracy": "acc"},
)
