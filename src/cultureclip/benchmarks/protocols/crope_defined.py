"""CROPE's own question (Nikandrou et al., 2024, arXiv 2410.15453): is X in the picture, given what X is?

CROPE asks a chat model that sees, of rows that are answered yes and no, with the definition of X in text, in pictures,
in both, or without. For a CLIP a context is a vector, and the score of a picture is its cosine with that vector:

    name      the text "There is X in the image."
    text      the text "X: <definition>", as far as the context of the tower reaches
    images    the mean of the definition's pictures, normalised
    both      the mean of the two above, normalised

Of each context three figures are given.

    yes-no     share of right answers, where yes is a score above a threshold. The threshold has the best balanced
               accuracy on all other clusters (of equally good ones the lowest); the mean over categories is balanced
               accuracy
    AUC        chance that a picture with X scores higher than one without. The credit of a "yes" picture is the
               share of "no" pictures below it, and that of a "no" picture the share of "yes" pictures above it; ties
               count half
    two-way    of rows answered no: share of pictures that fit their own concept's name better than X's context. Cosines
               of pictures with pictures are higher than those with texts, so each is standardised by its cosines
               with the main pictures of all other clusters
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from cultureclip.benchmarks.asking.questions import NO_PICTURE, YES_NO, ChatQuestion
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration, Embeddings
from cultureclip.benchmarks.protocols.choice import shared_credit
from cultureclip.benchmarks.protocols.crope import TEMPLATE
from cultureclip.benchmarks.protocols.items import Changed, Prediction, Unposed, item_key, named_concept, round_cosines
from cultureclip.benchmarks.protocols.protocol import Protocol
from cultureclip.benchmarks.protocols.shared_pictures import cluster_by_picture
from cultureclip.benchmarks.protocols.thresholds import fit_threshold, placements
from cultureclip.benchmarks.rows import IMAGE, Intake, complete_rows, text_of
from cultureclip.ids import digest

SALT = "crope-defined"
"""Part of every item's id; another salt would give the same items other ids."""
CONTEXTS = ("name", "text", "images", "both")
FIGURES = ("yes-no", "AUC", "two-way")
_OWN, _DEFINED = "metadata.image_en_concept", "metadata.definition_concept"


@dataclass(frozen=True, kw_only=True)
class DefinedItem:
    """A picture, a concept with its definition, and whether the picture shows it.

    Attributes:
        image: Key of the picture.
        own: Name of what the picture shows.
        concept: Name of what is asked about.
        shown: Whether the picture shows it.
        definition: The definition as text; may be empty.
        pictures: Keys of the definition's pictures; may be empty.
        cluster: Unit of resampling: the concept, with all that share a picture with it.
    """

    image: str
    own: str
    concept: str
    shown: bool
    definition: str
    pictures: tuple[str, ...]
    cluster: str

    def allows(self, context: str) -> bool:
        """Tell whether its definition has what a context is made of."""
        return (context in ("name", "images") or bool(self.definition)) and (
            context in ("name", "text") or bool(self.pictures)
        )


@dataclass(frozen=True)
class CropeDefinedBenchmark(Benchmark):
    """Pictures with a concept that is defined."""

    task: ClassVar[str] = "yes_no_with_definitions"

    items: Sequence[DefinedItem] = ()

    @property
    def texts(self) -> list[str]:
        """Both concepts' names, and the definitions."""
        own = (text for item in self.items for text in (_named(item.own), _named(item.concept)))
        return list(dict.fromkeys((*own, *(_defined(item) for item in self.items if item.definition))))

    @property
    def size(self) -> int:
        """Number of pictures, each with a concept."""
        return len(self.items)

    @property
    def concepts(self) -> set[str]:
        """What the pictures show and what is asked about."""
        return {named_concept(name) for item in self.items for name in (item.own, item.concept)}

    @property
    def data_hash(self) -> str:
        """Digest of pictures, names, answers and definitions."""
        return digest(
            self.name,
            sorted((i.image, i.own, i.concept, i.shown, i.definition, sorted(i.pictures)) for i in self.items),
        )

    @property
    def chances(self) -> dict[str, float]:
        """One half, for every figure."""
        return {f"{figure}, {context}": 0.5 for figure in FIGURES for context in CONTEXTS}

    def answer(self, embeddings: Embeddings) -> list[Prediction]:
        """Return all figures of the contexts that enough items allow."""
        predictions: list[Prediction] = []
        for context in CONTEXTS:
            items = [item for item in self.items if item.allows(context)]
            if _answerable(items):
                predictions += _answer(items, context, embeddings)
        return predictions

    def chat_questions(self) -> Iterator[ChatQuestion]:
        """Yield CROPE's own questions: yes or no, with each context and without the picture."""
        for item in self.items:
            for context in CONTEXTS:
                if item.allows(context):
                    yield _ask(item, context, item.image)
            yield _ask(item, "name", "")

    def without(self, failed: Mapping[str, str]) -> Self:
        """Return the benchmark without the items that have an unreadable picture."""
        return self._less("items", lambda item: [item.image, *item.pictures], failed)


def _answer(items: Sequence[DefinedItem], context: str, embeddings: Embeddings) -> Iterator[Prediction]:
    images = embeddings.images[[embeddings.image_rows[item.image] for item in items]]
    vectors = np.stack([_context(item, context, embeddings) for item in items])
    names = np.stack([_text(_named(item.own), embeddings) for item in items])
    shown = np.array([item.shown for item in items])
    clusters = np.array([item.cluster for item in items])
    scores = round_cosines(np.einsum("nd,nd->n", images, vectors))
    placed = placements(scores, shown)
    for cluster in np.unique(clusters):
        inside = clusters == cluster
        threshold = fit_threshold(scores[~inside], shown[~inside])
        bank = images[~inside]
        for row in np.flatnonzero(inside).tolist():
            item, margin = items[row], round(float(scores[row] - threshold), 12)
            yes = 0.5 if margin == 0 else float(margin > 0)
            options, found = ("no", "yes"), (threshold, float(scores[row]))
            yield _predict("yes-no", context, item, options, found, yes if item.shown else 1 - yes)
            yield _predict("AUC", context, item, (_named(item.concept),), found[1:], float(placed[row]))
            if not item.shown:
                fits = np.array([_standardised(v, images[row], bank) for v in (names[row], vectors[row])])
                credit = float(shared_credit(fits[None])[0])
                yield _predict("two-way", context, item, (item.own, item.concept), tuple(map(float, fits)), credit)


def _standardised(vector: np.ndarray, picture: np.ndarray, bank: np.ndarray) -> float:
    """Return a picture's cosine with a vector in standard deviations above the mean of a bank; 0 if these are equal."""
    cosines = round_cosines(np.concatenate([bank @ vector, [picture @ vector]]))
    spread = cosines[:-1].std()
    return round(float((cosines[-1] - cosines[:-1].mean()) / spread), 6) if spread > 0 else 0.0


def _context(item: DefinedItem, context: str, embeddings: Embeddings) -> np.ndarray:
    if context == "name":
        return _text(_named(item.concept), embeddings)
    text = _text(_defined(item), embeddings) if context in ("text", "both") else None
    rows = [embeddings.image_rows[key] for key in item.pictures]
    picture = _unit(embeddings.images[rows].mean(axis=0)) if context in ("images", "both") else None
    parts = [part for part in (text, picture) if part is not None]
    return _unit(np.mean(parts, axis=0))


def _unit(vector: np.ndarray) -> np.ndarray:
    """Return a vector of length 1; one of length 0, the mean of opposites, stays."""
    length = float(np.linalg.norm(vector))
    return vector / length if length else vector


def _text(text: str, embeddings: Embeddings) -> np.ndarray:
    vector: np.ndarray = embeddings.texts[embeddings.text_rows[text]]
    return vector


def _named(name: str) -> str:
    return TEMPLATE.format(concept=name)


def _defined(item: DefinedItem) -> str:
    return f"{item.concept}: {item.definition}"


def _predict(
    figure: str, context: str, item: DefinedItem, options: tuple[str, ...], scores: tuple[float, ...], credit: float
) -> Prediction:
    return Prediction(
        item_id=item_key(f"{figure}, {context}", SALT, item.image, item.own, item.concept),
        cluster=item.cluster,
        part="test",
        options=options,
        scores=scores,
        predicted=int(np.argmax(scores)),
        correct=credit,
        image=item.image,
        category=YES_NO[not item.shown] if figure == "yes-no" else "",
    )


def _ask(item: DefinedItem, context: str, image: str) -> ChatQuestion:
    metric = f"yes-no, {context}" if image else f"yes-no{NO_PICTURE}"
    return ChatQuestion(
        item_id=item_key(metric, SALT, item.image, item.own, item.concept),
        kind="yes_no",
        image=image,
        asked=item.concept,
        options=YES_NO if item.shown else YES_NO[::-1],
        context=item.definition if context in ("text", "both") else "",
        context_images=item.pictures if context in ("images", "both") else (),
        cluster=item.cluster,
        category=YES_NO[not item.shown],
    )


def _answerable(items: Sequence[DefinedItem]) -> bool:
    """Tell whether a threshold can be fitted without any one cluster."""
    return all(len({item.cluster for item in items if item.shown is yes}) > 1 for yes in (True, False))


def build(declaration: Declaration, intake: Intake) -> Benchmark:
    """Ask CROPE with definitions. Columns: those of ``crope``; and ``definition``, the text, which may be missing."""
    complete, left_out = complete_rows(intake, _OWN, _DEFINED, "answer")
    shows = [
        (picture, named_concept(concept))
        for row, image, (_, concept, _) in complete
        for picture in (image, *row.images.get("definition_images", ()))
    ]
    clusters = cluster_by_picture(shows)
    items: dict[tuple[str, str], DefinedItem] = {}
    changed = []
    for row, image, (own, concept, answer) in complete:
        pictures = tuple(dict.fromkeys(row.images.get("definition_images", ())))
        reason = _reason(answer, repeated=(image, concept) in items, defining=image in pictures)
        if reason:
            left_out.append(Unposed(row.place, reason))
            continue
        item = DefinedItem(
            image=image,
            own=own,
            concept=concept,
            shown=answer.casefold() == "yes",
            definition=text_of(row, "definition"),
            pictures=pictures,
            cluster=clusters[named_concept(concept)],
        )
        items[image, concept] = item
        lacking = [context for context in CONTEXTS if not item.allows(context)]
        if lacking:
            changed.append(Changed(row.place, f"not asked with {', '.join(lacking)}: its definition lacks it"))
    kept = tuple(items.values())
    if not _answerable(kept):
        left_out += [Unposed(item.concept, "fewer than two concepts for an answer: no threshold") for item in kept]
        kept, changed = (), []
    used = intake.pictures.only({key for item in kept for key in (item.image, *item.pictures)})
    return CropeDefinedBenchmark(declaration, used, kept, unposed=tuple(left_out), changed=tuple(changed))


def _reason(answer: str, *, repeated: bool, defining: bool) -> str:
    """Say why a row cannot be asked; empty if it can."""
    if answer.casefold() not in YES_NO:
        return "its answer is neither yes nor no"
    if defining:
        return "the picture is one of the definition's own"
    return "the same picture and concept were asked about before" if repeated else ""


PROTOCOL = Protocol(
    question="Is the defined concept in the picture?",
    benchmark=CropeDefinedBenchmark,
    build=build,
    columns=(IMAGE, "definition_images", _OWN, _DEFINED, "answer", "definition"),
    pictures=(IMAGE, "definition_images"),
    lists=("definition_images",),
    metrics=tuple(f"{figure}, {context}" for figure in FIGURES for context in CONTEXTS),
    names_concepts=True,
)
