"""Zero-shot classification as in CLIP (Radford et al., 2021, arXiv 2103.00020): classes are texts made from templates.

A class's vector is the mean of its templates' L2-normalised embeddings, normalised again. A picture's answer is the
class of greatest cosine. Tied classes are in random order: a collapsed model scores k over the number of classes.
A prediction's category is its class, so top-1's mean over categories is the mean per-class recall.

A picture with several labels makes one question per label, without the others, which would be right as well.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.items import Prediction, Unposed, item_key, named_concept, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.ranking import shown_options, top_k_credit
from cultureclip.benchmarks.protocols.shared_pictures import (
    cluster_by_picture,
    hide_also_right,
    mean_chance,
    part_labelled,
    right_answers,
)
from cultureclip.benchmarks.rows import IMAGE, Intake, text_of, without_image
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest

SALT = "zero-shot"
"""Part of every item's id; another salt would give the same items other ids."""
PLACEHOLDER = "{c}"
"""Placeholder for the class's name in a template, as CLIP_benchmark writes it."""
CUTOFFS = (1, 5)
_BLOCK = 1024


@dataclass(frozen=True)
class Labelled:
    """A picture and its class.

    Attributes:
        image: Key of the picture.
        label: Index of its class in the list of classes.
        culture: Region shown, if any.
    """

    image: str
    label: int
    culture: str = ""


def cutoffs_for(classes: int) -> list[int]:
    """Return the cut-offs that are smaller than the number of classes."""
    return [k for k in CUTOFFS if k < classes]


def known_labels(items: Iterable[Labelled], classes: int) -> tuple[tuple[Labelled, ...], tuple[Unposed, ...]]:
    """Return the pictures that can be asked about, and those with an unknown or repeated label."""
    kept: dict[tuple[str, int], Labelled] = {}
    unposed = []
    for item in items:
        key = (item.image, item.label)
        if not 0 <= item.label < classes:
            unposed.append(Unposed(f"{item.image}: {item.label}", "unknown label"))
        elif key in kept:
            unposed.append(Unposed(f"{item.image}: {item.label}", "the same picture and label were asked about before"))
        else:
            kept[key] = item
    return tuple(kept.values()), tuple(unposed)


def class_texts(classes: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """Return the texts of every class, [classes, templates].

    Raises:
        SourceDataError: if there are fewer than two classes, or a template has no place for the class's name.
    """
    if len(classes) < 2:
        raise SourceDataError("classes", f"{len(classes)} given", "Name at least two classes, one per line")
    bad = [template for template in templates if PLACEHOLDER not in template]
    if bad or not templates:
        cause = f"{bad[0]!r} has no {PLACEHOLDER}" if bad else "none given"
        raise SourceDataError("templates", cause, f"Write {PLACEHOLDER} where the class's name belongs, one per line")
    return [[template.replace(PLACEHOLDER, name) for template in templates] for name in classes]


def distinct_names(classes: Sequence[str]) -> list[str]:
    """Number repeated names, so that classes differ: ImageNet has two classes of missiles and two of sunglasses."""
    count = Counter(classes)
    return [name if count[name] == 1 else f"{name} (class {number})" for number, name in enumerate(classes)]


def mean_of_templates(texts: np.ndarray) -> np.ndarray:
    """Return the class vectors from the embeddings of their texts.

    Args:
        texts: L2-normalised, [classes, templates, D].

    Returns:
        L2-normalised, [classes, D]. If templates cancel out, the vector stays zero.
    """
    mean = texts.mean(axis=1)
    norm = np.linalg.norm(mean, axis=-1, keepdims=True)
    unit: np.ndarray = mean / np.where(norm > 0, norm, 1)
    return unit


def answer_zero_shot(
    items: Sequence[Labelled], classes: Sequence[str], images: np.ndarray, vectors: np.ndarray
) -> list[Prediction]:
    """Return top-1 and, if there are more than five classes, top-5 of every picture.

    Args:
        items: The items.
        classes: Names of the classes; one name may stand for several.
        images: L2-normalised embeddings of the items' pictures, [items, D].
        vectors: L2-normalised class vectors, [classes, D].

    Returns:
        Predictions with the class as category. The cluster is the class, as a concept, with the classes that share
        pictures with it. The options are the right class and the best wrong ones.

    Raises:
        WeightsError: if a cosine is not finite.
    """
    names = distinct_names(classes)
    labels = right_answers((item.image, item.label) for item in items)
    clusters = cluster_by_picture((item.image, named_concept(names[item.label])) for item in items)
    right = np.array([item.label for item in items], dtype=int)
    predictions = []
    for start in range(0, len(items), _BLOCK):  # 50,000 pictures x 1,000 classes do not fit in memory
        rows = slice(start, start + _BLOCK)
        scores = round_cosines(images[rows] @ vectors.T)
        scores = hide_also_right(scores, right[rows], [labels[item.image] for item in items[rows]])
        credits = {k: top_k_credit(scores, right[rows], k) for k in cutoffs_for(len(classes))}
        for row, item in enumerate(items[rows]):
            shown = shown_options(scores[row], item.label)
            for k, credit in credits.items():
                predictions.append(_predict(item, names, shown, scores[row], k, float(credit[row]), clusters))
    return predictions


@dataclass(frozen=True)
class ZeroShotBenchmark(Benchmark):
    """Pictures with labels, names of classes, and templates such as ``a photo of a {c}.``.

    Its items come from :func:`known_labels`.
    """

    task: ClassVar[str] = "zeroshot_classification"

    items: Sequence[Labelled] = ()
    classes: Sequence[str] = ()
    templates: Sequence[str] = ()

    @property
    def texts(self) -> list[str]:
        """Every template of every class, once."""
        return list(dict.fromkeys(text for texts in class_texts(self.classes, self.templates) for text in texts))

    @property
    def size(self) -> int:
        """Pictures."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """Names of the classes shown."""
        return {named_concept(self.classes[item.label]) for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, labels, cultures, classes and templates."""
        shown = sorted((item.image, item.label, item.culture) for item in self.items)
        return digest(self.name, shown, [*self.classes], [*self.templates])

    @property
    def chances(self) -> dict[str, float]:
        """Cut-off over the number of classes offered, averaged over pictures."""
        count = len(self.classes)
        return {f"top-{k}": mean_chance(self.items, count, k) for k in cutoffs_for(count)}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return top-1 and top-5 of every picture."""
        if not self.items:
            return []
        texts = class_texts(self.classes, self.templates)
        vectors = mean_of_templates(
            embeddings.texts[[[embeddings.text_rows[t] for t in of_class] for of_class in texts]]
        )
        images = embeddings.images[[embeddings.image_rows[item.image] for item in self.items]]
        return answer_zero_shot(self.items, self.classes, images, vectors)

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without these pictures."""
        return self._less("items", lambda item: [item.image], failed)


def _predict(
    item: Labelled,
    classes: Sequence[str],
    shown: Sequence[int],
    scores: np.ndarray,
    k: int,
    credit: float,
    clusters: Mapping[str, str],
) -> Prediction:
    name = classes[item.label]
    return Prediction(
        item_id=item_key(f"top-{k}", SALT, item.image, str(item.label)),
        cluster=clusters[named_concept(name)],
        part="test",
        options=tuple(classes[column] for column in shown),
        scores=tuple(float(scores[column]) for column in shown),
        predicted=int(np.argmax(scores[list(shown)])),
        correct=credit,
        image=item.image,
        culture=item.culture,
        category=name,
    )


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask zero-shot classification. Columns: ``image``, ``label``; and ``region``, which may be missing.

    A label is a class's number if the class names are beside the data, else its name.

    Raises:
        SourceDataError: if there are fewer than two classes, no templates, or a template without a place for the class.
    """
    classes = intake.classes or tuple(sorted({text_of(row, "label") for row in intake.rows} - {""}))
    class_texts(classes, intake.templates)
    numbers = {name: number for number, name in enumerate(classes)} if not intake.classes else {}
    left_out, items = list(intake.left_out), []
    for row in intake.rows:
        image, label = row.image(IMAGE), row.values.get("label")
        number = numbers.get(text_of(row, "label")) if numbers else label
        if image is None:
            left_out += without_image(row)
        elif not isinstance(number, int) or not 0 <= number < len(classes):
            left_out.append(Unposed(row.place, "no label" if label in (None, "") else "unknown label"))
        else:
            items.append(Labelled(image, number, culture=text_of(row, "region")))
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


PROTOCOL = Protocol(
    question="Which class is it?",
    benchmark=ZeroShotBenchmark,
    build=build,
    columns=(IMAGE, "label", "region"),
    metrics=("top-1",),
    exported={"top-1": "acc1", "top-5": "acc5"},
    exported_mean={"top-1": "mean_per_class_recall"},
    names_concepts=True,
)
