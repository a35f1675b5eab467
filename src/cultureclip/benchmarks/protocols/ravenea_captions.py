"""RAVENEA's captions (Li et al., 2025, arXiv 2505.14462): does a chat model's caption name the culture, as people's do?

A chat model writes a caption, without and with the document of highest grade (``, document``).

    region     share of captions that name the picture's region or its people, as whole words (RegionScore)
    ROUGE-L    the longest common subsequence of words with the closest caption by people
    CIDEr      CIDEr-D, in [0, 1]: n-grams shared with captions by people, those of few pictures first

A CLIP is asked which of the people's captions belongs to which picture: image-text retrieval.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cultureclip.benchmarks.asking.captions import CIDER, REGION, ROUGE
from cultureclip.benchmarks.asking.questions import ChatQuestion
from cultureclip.benchmarks.protocols import image_text_retrieval
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.image_text_retrieval import ImageTextRetrievalBenchmark
from cultureclip.benchmarks.protocols.items import item_key
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.ravenea_questions import DOCUMENT
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of

SALT = "ravenea-captions"
"""Part of every item's id; another salt would give the same items other ids."""


@dataclass(frozen=True)
class Told:
    """What a row tells of its picture besides captions; each text may be empty."""

    region: str
    category: str
    document: str


@dataclass(frozen=True)
class RaveneaCaptionsBenchmark(ImageTextRetrievalBenchmark):
    """Captioned pictures with their regions and documents.

    Attributes:
        told: Key of a picture -> what its first row tells.
    """

    told: Mapping[str, Told] = field(default_factory=dict)

    def chat_questions(self) -> Iterator[ChatQuestion]:
        """Yield a caption to write per picture, and another with its document."""
        for item in self.items:
            told = self.told[item.image]
            asked = ChatQuestion(
                item_id=item_key("caption", SALT, item.image),
                kind="caption",
                image=item.image,
                asked="",
                cluster=item.family,
                culture=told.region,
                category=told.category,
                references=item.captions,
            )
            yield asked
            if told.document:
                yield replace(asked, item_id=item_key(f"caption{DOCUMENT}", SALT, item.image), context=told.document)


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Build RAVENEA's captions. Columns: ``image``, ``captions``; optional ``region``, ``category``, ``document``."""
    made = image_text_retrieval.build(declaration, intake)
    told: dict[str, Told] = {}
    for row in intake.rows:
        if image := row.image(IMAGE):
            texts = (text_of(row, "region"), text_of(row, "category"), text_of(row, "document"))
            told.setdefault(image, Told(*texts))
    items = made.items if isinstance(made, ImageTextRetrievalBenchmark) else ()
    return RaveneaCaptionsBenchmark(declaration, made.images, items, told, unposed=made.unposed)


PROTOCOL = Protocol(
    question="Which caption belongs to which picture, and does a caption name the culture?",
    benchmark=RaveneaCaptionsBenchmark,
    build=build,
    columns=(IMAGE, "captions", "region", "category", "document"),
    lists=("captions",),
    metrics=(
        *(f"{figure}{context}" for figure in (REGION, ROUGE, CIDER) for context in ("", DOCUMENT)),
        *image_text_retrieval.PROTOCOL.metrics,
    ),
    exported=image_text_retrieval.PROTOCOL.exported,
)
