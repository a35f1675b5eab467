"""BLEnD-Vis (Tan et al., 2025, arXiv 2510.11178): a generated picture of a daily thing; which region is it from?

The benchmark asks the same knowledge in three forms: region to thing and thing to region in words, and a picture in the
place of the thing. A CLIP is asked the third: the question and a region as one sentence, the closest to the picture is
its answer; of a tie each has a share. Rows without a picture are the other two forms and are left out.

    accuracy                 share of right regions
    accuracy, no picture     the region whose text is closest to that of the question

The owners' column names were not verified: ``columns`` of the catalog entry names them.
"""

from cultureclip.benchmarks.asking.questions import NO_PICTURE
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.multiple_choice import (
    Collected,
    MultipleChoiceBenchmark,
    about,
    pose,
    read_choices,
)
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of, without_image

SALT = "blend-vis"
"""Part of every item's id; another salt would give the same items other ids."""


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask BLEnD-Vis. Columns: ``image``, ``question``, ``options``, ``answer``; optional ``region``, ``ID``, ``topic``.

    Questions of one ``ID`` ask the same of several regions: they are one cluster.
    """
    collected = Collected(list(intake.left_out))
    shown = [(row, image) for row in intake.rows if (image := row.image(IMAGE))]
    templates = [text_of(row, "ID") or text_of(row, "question") for row, _ in shown]
    clusters = cluster_by_picture((image, of) for (_, image), of in zip(shown, templates, strict=True))
    for row in intake.rows:
        collected.left_out += without_image(row)
    for (row, image), template in zip(shown, templates, strict=True):
        choices = read_choices(row, "options")
        answer = row.values.get("answer")
        place = None if choices is None else choices.place(answer)
        region = text_of(row, "region") or ("" if choices is None or place is None else choices.answers[place])
        of = about(image, cluster=clusters[template], culture=region, category=text_of(row, "topic"))
        collected.take(row.place, pose("accuracy", SALT, text_of(row, "question"), choices, answer, of))
    return collected.build(declaration, intake)


PROTOCOL = Protocol(
    question="From which region is the thing in the picture?",
    benchmark=MultipleChoiceBenchmark,
    build=build,
    columns=(IMAGE, "question", "options", "answer", "region", "ID", "topic"),
    lists=("options",),
    metrics=("accuracy", f"accuracy{NO_PICTURE}"),
    exported={"accuracy": "acc"},
)
