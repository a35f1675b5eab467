"""From rows to questions: the columns that each protocol reads, and what is left out for want of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cultureclip.benchmarks.entry import ProtocolName
from cultureclip.benchmarks.protocols import crope, globalrg_grounding, globalrg_retrieval
from cultureclip.benchmarks.protocols import sugarcrepe as pairs
from cultureclip.benchmarks.protocols.benchmark import Benchmark, ChoiceBenchmark, Declaration, RetrievalBenchmark
from cultureclip.benchmarks.protocols.crope import ConceptPictures
from cultureclip.benchmarks.protocols.cunit import Annotated, TripletBenchmark, ask_triplets
from cultureclip.benchmarks.protocols.image_text_retrieval import Captioned
from cultureclip.benchmarks.protocols.items import (
    AS_PUBLISHED,
    Changed,
    QuestionSet,
    Shown,
    Unposed,
    ask_both,
    named_concept,
)
from cultureclip.benchmarks.protocols.linear_probe import LinearProbeBenchmark, Probed, ask_probe
from cultureclip.benchmarks.protocols.ranked_documents import Document, Ranked, RankingBenchmark, ask_rankings
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture, part_labelled, right_answers
from cultureclip.benchmarks.protocols.sugarcrepe import CaptionPair
from cultureclip.benchmarks.protocols.twin_scores import Twin, TwinBenchmark
from cultureclip.benchmarks.protocols.zero_shot import Labelled, ZeroShotBenchmark, class_texts, known_labels
from cultureclip.benchmarks.rows import Intake, Taken
from cultureclip.ids import digest

IMAGE = "image"


@dataclass(frozen=True)
class Protocol:
    """What is asked, and how rows become a benchmark."""

    question: str
    build: Callable[[Declaration, Intake], Benchmark]


def build_grounding(declaration: Declaration, intake: Intake) -> Benchmark:
    """GlobalRG-Grounding. Columns: ``image``, ``concept``, ``region``."""
    complete, left_out = _complete(intake, "concept", "region")
    items = [
        Shown(concept_id=named_concept(concept), name=concept, universal="", regions=(region,), image=image)
        for _, image, (concept, region) in complete
    ]
    return _choices(declaration, intake, _ask_shown(declaration, globalrg_grounding.ask_grounding, items), left_out)


def build_retrieval(declaration: Declaration, intake: Intake) -> Benchmark:
    """GlobalRG-Retrieval. Columns: ``image``, ``universal``, ``region``."""
    complete, left_out = _complete(intake, "universal", "region")
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
    return _choices(declaration, intake, _ask_shown(declaration, globalrg_retrieval.ask_retrieval, items), left_out)


def build_crope(declaration: Declaration, intake: Intake) -> Benchmark:
    """CROPE. Columns: ``image``, ``definition_images``, two concepts and ``answer``; asked where that is "no"."""
    names = ("metadata.image_en_concept", "metadata.definition_concept", "answer")
    rows: list[tuple[ConceptPictures, ConceptPictures]] = []
    shows: list[tuple[str, str]] = []
    left_out = list(intake.left_out)
    for row in intake.rows:
        own, other, answer = (_text(row, name) for name in names)
        if missing := [name for name, text in zip(names, (own, other, answer), strict=True) if not text]:
            left_out.append(Unposed(row.place, f"no {missing[0]}"))
            continue
        sides = ((own, row.images.get(IMAGE, ())), (other, row.images.get("definition_images", ())))
        shows += [(image, name) for name, images in sides for image in images]
        if answer.casefold() != "no":
            shows += [(image, other) for image in row.images.get(IMAGE, ())]
            left_out.append(Unposed(row.place, "its answer is not no: the definition is the picture's own"))
        else:
            pictures = (IMAGE, "definition_images")
            left_out += [Unposed(row.place, f"no {column}") for column in pictures if column not in row.images]
            a, b = (ConceptPictures(named_concept(name), name, images) for name, images in sides)
            rows.append((a, b))
    clusters = cluster_by_picture((image, named_concept(name)) for image, name in shows)
    rows = [(_in_cluster(a, clusters), _in_cluster(b, clusters)) for a, b in rows]
    asked, doubtful = crope.part_doubtful(rows, right_answers(shows))
    if declaration.as_published:
        changed = tuple(Changed(item.item, f"{item.reason}; {AS_PUBLISHED}") for item in doubtful)
        questions = replace(ask_both(crope.ask_crope, asked, rows), changed=changed)
        return _choices(declaration, intake, questions, left_out)
    return _choices(declaration, intake, ask_both(crope.ask_crope, asked), [*left_out, *doubtful])


def build_captions(declaration: Declaration, intake: Intake) -> Benchmark:
    """Image-text retrieval. Columns: ``image``, ``captions`` (any number)."""
    left_out = list(intake.left_out)
    captions: dict[str, dict[str, None]] = {}
    for row in intake.rows:
        image = row.image(IMAGE)
        given = row.values.get("captions")
        listed = given if isinstance(given, list) else [given]  # a column of single captions is one of lists of one
        texts = [text.strip() for text in listed if isinstance(text, str) and text.strip()]
        if image is None:
            left_out += _without_image(row)
        elif not texts:
            left_out.append(Unposed(row.place, "no captions"))
        else:
            captions.setdefault(image, {}).update(dict.fromkeys(texts))
    # Pictures that share a caption are one cluster: the caption is one item, about all of them.
    families = cluster_by_picture((text, image) for image, texts in captions.items() for text in texts)
    items = tuple(Captioned(image, tuple(texts), families[image], "test") for image, texts in captions.items())
    return RetrievalBenchmark(declaration, intake.pictures.only(set(captions)), items, unposed=tuple(left_out))


def build_pairs(declaration: Declaration, intake: Intake) -> Benchmark:
    """SugarCrepe. Columns: ``image``, ``caption``, ``negative_caption``; and ``subset``, which may be missing."""
    complete, left_out = _complete(intake, "caption", "negative_caption")
    asked = pairs.ask_pairs(
        CaptionPair(image, right, wrong, _text(row, "subset")) for row, image, (right, wrong) in complete
    )
    return _choices(declaration, intake, asked, left_out)


def build_zero_shot(declaration: Declaration, intake: Intake) -> Benchmark:
    """Zero-shot classification. Columns: ``image``, ``label``; and ``region``, which may be missing.

    A label is a class's number where the class names lie beside the data, else its name.

    Raises:
        SourceDataError: there are no two classes, or no templates, or a template without a place for the class.
    """
    classes = intake.classes or tuple(sorted({_text(row, "label") for row in intake.rows} - {""}))
    class_texts(classes, intake.templates)
    numbers = {name: number for number, name in enumerate(classes)} if not intake.classes else {}
    left_out, items = list(intake.left_out), []
    for row in intake.rows:
        image, label = row.image(IMAGE), row.values.get("label")
        number = numbers.get(_text(row, "label")) if numbers else label
        if image is None:
            left_out += _without_image(row)
        elif not isinstance(number, int) or not 0 <= number < len(classes):
            left_out.append(Unposed(row.place, "no label" if label in (None, "") else "unknown label"))
        else:
            items.append(Labelled(image, number, culture=_text(row, "region")))
    known, repeated = known_labels(items, len(classes))
    kept, all_right, changed = part_labelled(known, len(classes))
    return ZeroShotBenchmark(
        declaration,
        intake.pictures.only({item.image for item in kept}),
        unposed=(*left_out, *repeated, *all_right),
        changed=changed,
        items=kept,
        classes=classes,
        templates=intake.templates,
    )


def build_probe(declaration: Declaration, intake: Intake) -> Benchmark:
    """Linear probe. Columns: ``image``, ``label``, ``split`` (train, validation or test)."""
    complete, left_out = _complete(intake, "label", "split")
    items: list[Probed] = []
    for row, image, (label, split) in complete:
        if split in ("train", "validation", "test"):
            items.append(Probed(image, label, split, culture=_text(row, "region")))  # type: ignore[arg-type]
        else:
            left_out.append(Unposed(row.place, "its split is none of train, validation, test"))
    usable, unknown = ask_probe(items)
    fitted = [item for item in usable if item.split != "test"]
    classes = len({item.label for item in fitted})
    asked, all_right, changed = part_labelled((item for item in usable if item.split == "test"), classes)
    kept = (*fitted, *asked)
    pictures = intake.pictures.only({item.image for item in kept})
    unposed = (*left_out, *unknown, *all_right)
    return LinearProbeBenchmark(declaration, pictures, unposed=unposed, changed=changed, items=kept)


def build_twins(declaration: Declaration, intake: Intake) -> Benchmark:
    """Winoground. Columns: ``image_0``, ``image_1``, ``caption_0``, ``caption_1``; ``tag`` may be missing."""
    left_out = list(intake.left_out)
    complete: list[tuple[str, tuple[str, str], tuple[str, str], str]] = []
    for row in intake.rows:
        first, second = row.image("image_0"), row.image("image_1")
        texts = (_text(row, "caption_0"), _text(row, "caption_1"))
        if first is None or second is None:
            left_out += [] if {"image_0", "image_1"} <= row.images.keys() else [Unposed(row.place, "no two images")]
        elif "" in texts or texts[0] == texts[1] or first == second:
            left_out.append(Unposed(row.place, "no two different captions and images"))
        else:
            complete.append((row.place, (first, second), texts, _text(row, "tag")))
    right = right_answers(own for _, images, texts, _ in complete for own in zip(images, texts, strict=True))
    asked: dict[frozenset[tuple[str, str]], tuple[int, Twin]] = {}
    for number, (place, images, texts, tag) in enumerate(complete):
        key = frozenset(zip(images, texts, strict=True))  # the order of the sides changes nothing
        if key in asked:
            left_out.append(Unposed(place, "the same pictures and captions were asked about before"))
        elif texts[1] in right[images[0]] or texts[0] in right[images[1]]:
            left_out.append(Unposed(place, "both captions are right for one picture: another row says so"))
        else:
            asked[key] = (number, Twin(images, texts, "", category=tag))
    # A picture or a caption in two rows ties them together, as a concept in two of pocket's twins does.
    clusters = cluster_by_picture((thing, n) for n, twin in asked.values() for thing in (*twin.images, *twin.texts))
    twins = tuple(
        # Lines of two files are not one cluster.
        replace(twin, cluster=f"{declaration.name}: {complete[clusters[number]][0]}")
        for number, twin in asked.values()
    )
    pictures = intake.pictures.only({image for twin in twins for image in twin.images})
    return TwinBenchmark(declaration, pictures, unposed=tuple(left_out), twins=twins)


def build_rankings(declaration: Declaration, intake: Intake) -> Benchmark:
    """RAVENEA. Columns: ``image``, ``documents``; ``region`` and ``category`` may be missing."""
    left_out, items = list(intake.left_out), []
    for row in intake.rows:
        image = row.image(IMAGE)
        documents = [d for d in row.values.get("documents") or () if isinstance(d, Document)]
        if image is None:
            left_out += _without_image(row)
        elif not documents:
            left_out.append(Unposed(row.place, "its documents are not all there with a grade each"))
        else:
            items.append(Ranked(image, tuple(documents), _text(row, "region"), _text(row, "category")))
    kept, unranked = ask_rankings(items)
    pictures = intake.pictures.only({item.image for item in kept})
    return RankingBenchmark(declaration, pictures, kept, unposed=(*left_out, *unranked))


def build_triplets(declaration: Declaration, intake: Intake) -> Benchmark:
    """CUNIT, of texts alone. Column: ``annotated``."""
    annotated = {row.place: row.values.get("annotated") for row in intake.rows}
    bare = [Unposed(place, "no annotated") for place, found in annotated.items() if not isinstance(found, Annotated)]
    asked = ask_triplets([found for found in annotated.values() if isinstance(found, Annotated)])
    return TripletBenchmark(declaration, intake.pictures.only(set()), asked.questions, unposed=(*bare, *asked.unposed))


def _ask_shown(declaration: Declaration, ask: Callable[..., QuestionSet], items: Sequence[Shown]) -> QuestionSet:
    """The questions of both variants about pictures that several rows may name."""
    right = right_answers((item.image, item.concept_id) for item in items)
    clusters = cluster_by_picture((item.image, item.concept_id) for item in items)
    items = [replace(item, cluster=clusters[item.concept_id]) for item in items]
    told = [replace(item, alike=frozenset(right[item.image] - {item.concept_id})) for item in items]
    return ask_both(ask, told, items if declaration.as_published else None)


def _in_cluster(side: ConceptPictures, clusters: Mapping[str, str]) -> ConceptPictures:
    return replace(side, cluster=clusters.get(side.concept_id, side.concept_id))


PROTOCOLS: Mapping[ProtocolName, Protocol] = {
    "globalrg_grounding": Protocol("Which thing of this region is it?", build_grounding),
    "globalrg_retrieval": Protocol("From which region is this kind of thing?", build_retrieval),
    "crope": Protocol("Is it the concept, or the look-alike that is defined beside it?", build_crope),
    "culturally_closer": Protocol("Which of two concepts is culturally closer to a third?", build_triplets),
    "linear_probe": Protocol("Which class does a probe of the embeddings see?", build_probe),
    "pairs": Protocol("Which of two captions is right?", build_pairs),
    "ranked_documents": Protocol("Which documents tell most of the picture's culture?", build_rankings),
    "twin_scores": Protocol("Which of two captions belongs to which of two pictures?", build_twins),
    "zero_shot": Protocol("Which class is it?", build_zero_shot),
    "image_text_retrieval": Protocol("Which caption belongs to which picture?", build_captions),
}


def _complete(intake: Intake, *columns: str) -> tuple[list[tuple[Taken, str, tuple[str, ...]]], list[Unposed]]:
    """(row, picture, texts) of the rows that have a picture and every text, and what was left out up to here."""
    complete, left_out = [], list(intake.left_out)
    for row in intake.rows:
        image = row.image(IMAGE)
        texts = tuple(_text(row, column) for column in columns)
        if image is None:
            left_out += _without_image(row)
        elif "" in texts:
            left_out.append(Unposed(row.place, f"no {columns[texts.index('')]}"))
        else:
            complete.append((row, image, texts))
    return complete, left_out


def _without_image(row: Taken) -> list[Unposed]:
    """Why a row has no picture; nothing where it names one, for then the intake has said why it is not there."""
    return [] if IMAGE in row.images else [Unposed(row.place, f"no {IMAGE}")]


def _text(row: Taken, column: str) -> str:
    """A column's text, stripped; empty where there is none."""
    value = row.values.get(column)
    return value.strip() if isinstance(value, str) else ""


def _choices(
    declaration: Declaration, intake: Intake, asked: QuestionSet, left_out: Sequence[Unposed]
) -> ChoiceBenchmark:
    pictures = intake.pictures.only({question.image for question in asked.questions})
    unposed = (*left_out, *asked.unposed)
    return ChoiceBenchmark(declaration, pictures, asked.questions, unposed=unposed, changed=asked.changed)
