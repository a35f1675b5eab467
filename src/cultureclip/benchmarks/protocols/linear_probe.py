"""Linear probe: logistic regression on frozen image embeddings.

CLIP's protocol (Radford et al., 2021, arXiv 2103.00020, appendix A.3): L-BFGS; the regularisation is chosen on a
validation split, then the probe is fitted again on both splits. Two things differ: the features are the L2-normalised
embeddings that all other protocols read, not those before the projection, and nine strengths are tried, not 96.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

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
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of
from cultureclip.errors import SourceDataError
from cultureclip.ids import digest

SALT = "linear-probe"
"""Part of every item's id; another salt would give the same items other ids."""
STRENGTHS = tuple(10.0**exponent for exponent in range(-4, 5))
"""Inverse regularisation strengths C that are tried."""
FEWEST = {"train": 2, "validation": 1}
"""Pictures that a class needs in each split."""
_ITERATIONS = 1000
_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A picture, its class and its split.

    Attributes:
        image: Key of the picture.
        label: Name of its class.
        split: ``train`` fits the probe, ``validation`` chooses its strength, ``test`` is asked about.
        culture: Region shown, if any.
    """

    image: str
    label: str
    split: Literal["train", "validation", "test"]
    culture: str = ""


def classes_of(items: Sequence[Probed]) -> list[str]:
    """Return the names of the classes that can be fitted, sorted.

    Raises:
        SourceDataError: if there are fewer than two classes, or a class has too few pictures in a split.
    """
    counts = {split: Counter(item.label for item in items if item.split == split) for split in FEWEST}
    classes = sorted(set().union(*counts.values()))
    lacking = [
        f"class {label!r} has {counts[split][label]} pictures for {split}, needs {needed}"
        for label in classes
        for split, needed in FEWEST.items()
        if counts[split][label] < needed
    ]
    if lacking or len(classes) < 2:
        more = f" and {len(lacking) - _LISTED} more" if len(lacking) > _LISTED else ""
        cause = "; ".join(lacking[:_LISTED]) + more if lacking else f"{len(classes)} classes to fit"
        raise SourceDataError("linear probe", cause, "Add pictures, or leave the class out")
    return classes


def ask_probe(items: Sequence[Probed]) -> tuple[tuple[Probed, ...], tuple[Unposed, ...]]:
    """Return the usable items, and the others with their reasons.

    A test picture must have a fitted class, must not be in a fitted split, and is asked about once.

    Raises:
        SourceDataError: see :func:`classes_of`.
    """
    known = set(classes_of(items))
    fitted = {item.image for item in items if item.split != "test"}
    kept: dict[tuple[str, str, bool], Probed] = {}
    unposed = []
    for item in items:
        test = item.split == "test"
        key = (item.image, item.label, test)
        label = f"{item.image}: {item.label}"
        if item.label not in known:
            unposed.append(Unposed(label, "unknown label"))
        elif test and item.image in fitted:
            unposed.append(Unposed(label, "the picture is also in a split that is fitted"))
        elif key in kept:
            unposed.append(Unposed(label, "the same picture and label came before"))
        else:
            kept[key] = item
    return tuple(kept.values()), tuple(unposed)


def answer_probe(items: Sequence[Probed], images: np.ndarray) -> list[Prediction]:
    """Return the top-1 predictions for the pictures of the test split; the fit is deterministic.

    Args:
        items: Pictures of all splits.
        images: L2-normalised embeddings, in the same order, [items, D].

    Returns:
        Predictions whose scores are the probe's decision values; ties share the credit.

    Raises:
        SourceDataError: see :func:`classes_of`.
        WeightsError: if an embedding is not finite.
    """
    classes = classes_of(items)
    rows = {
        split: [i for i, item in enumerate(items) if item.split == split] for split in ("train", "validation", "test")
    }
    if not rows["test"]:
        return []
    labels = np.array([classes.index(item.label) for item in items])
    features = round_cosines(images)  # each feature is the cosine with an axis
    strength = _choose_strength(features, labels, rows["train"], rows["validation"])
    fitting = rows["train"] + rows["validation"]
    asked = [items[row] for row in rows["test"]]
    scores = _decide(features[fitting], labels[fitting], features[rows["test"]], strength)
    right = right_answers((item.image, classes.index(item.label)) for item in asked)
    scores = hide_also_right(scores, labels[rows["test"]], [right[item.image] for item in asked])
    clusters = cluster_by_picture((item.image, named_concept(item.label)) for item in asked)
    credit = top_k_credit(scores, labels[rows["test"]], 1)
    return [
        _predict(item, classes, values, clusters, float(earned))
        for item, values, earned in zip(asked, scores, credit, strict=True)
    ]


@dataclass(frozen=True)
class LinearProbeBenchmark(Benchmark):
    """Pictures with labels, split into train, validation and test; its items come from :func:`ask_probe`."""

    task: ClassVar[str] = "linear_probe"

    items: Sequence[Probed] = ()

    @property
    def texts(self) -> list[str]:
        """None."""
        return []

    @property
    def size(self) -> int:
        """Number of pictures asked about."""
        return sum(item.split == "test" for item in self.items)

    @property
    def concepts(self) -> set[str]:
        """Names of the classes."""
        return {named_concept(item.label) for item in self.items}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, labels, splits and cultures."""
        return digest(self.name, sorted((i.image, i.label, i.split, i.culture) for i in self.items))

    @property
    def chances(self) -> dict[str, float]:
        """One over the number of classes offered, averaged over pictures."""
        asked = [item for item in self.items if item.split == "test"]
        return {"top-1": mean_chance(asked, len(self.concepts), 1)} if self.items else {}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Fit the probe, and return its top-1 on the test split."""
        if not self.size:
            return []
        return answer_probe(self.items, embeddings.images[[embeddings.image_rows[item.image] for item in self.items]])

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without these pictures, whatever their split."""
        return self._less("items", lambda item: [item.image], failed)


def _choose_strength(features: np.ndarray, labels: np.ndarray, train: list[int], validation: list[int]) -> float:
    """Return the strength with the greatest credit on validation; of equal ones the most regularised."""
    credit = [
        top_k_credit(_decide(features[train], labels[train], features[validation], c), labels[validation], 1).mean()
        for c in STRENGTHS
    ]
    return STRENGTHS[int(np.argmax(credit))]


def _decide(features: np.ndarray, labels: np.ndarray, asked: np.ndarray, strength: float) -> np.ndarray:
    """Return the decision values of a probe fitted on features and labels, [asked, classes]."""
    from sklearn.linear_model import LogisticRegression

    probe = LogisticRegression(C=strength, max_iter=_ITERATIONS).fit(features, labels)
    values = probe.decision_function(asked)
    return values if values.ndim == 2 else np.stack([-values, values], axis=1)


def _predict(
    item: Probed, classes: Sequence[str], scores: np.ndarray, clusters: Mapping[str, str], credit: float
) -> Prediction:
    shown = shown_options(scores, classes.index(item.label))
    return Prediction(
        item_id=item_key("top-1", SALT, item.image, item.label),
        cluster=clusters[named_concept(item.label)],
        part="test",
        options=tuple(classes[column] for column in shown),
        scores=tuple(float(scores[column]) for column in shown),
        predicted=int(np.argmax(scores[shown])),
        correct=credit,
        image=item.image,
        culture=item.culture,
        category=item.label,
    )


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Build the linear probe. Columns: ``image``, ``label``, ``split`` (train, validation or test)."""
    complete, left_out = complete_rows(intake, "label", "split")
    items: list[Probed] = []
    for row, image, (label, split) in complete:
        if split in ("train", "validation", "test"):
            items.append(Probed(image=image, label=label, split=split, culture=text_of(row, "region")))  # type: ignore[arg-type]
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


PROTOCOL = Protocol(
    question="Which class does a probe of the embeddings see?",
    benchmark=LinearProbeBenchmark,
    build=build,
    columns=(IMAGE, "label", "split", "region"),
    metrics=("top-1",),
    exported={"top-1": "lp_acc1"},
    exported_mean={"top-1": "lp_mean_per_class_recall"},
    names_concepts=True,
)
