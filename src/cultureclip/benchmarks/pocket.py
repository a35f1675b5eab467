"""The pocket benchmarks: the published protocols on real pictures that no pocket model has seen.

The region is the culture, the universal is the atlas's kind of thing, CROPE's definition concept is the accepted twin.
Culture-bound pictures are the concepts' reference images (for the atlas: Twemoji drawings). General pictures are in
``pocket_general``.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from cultureclip.benchmarks import pocket_general
from cultureclip.benchmarks.concept_texts import NAME_ALONE, describe_concept
from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.protocols.crope import ConceptPictures, ask_crope
from cultureclip.benchmarks.protocols.culture_questions import STATEMENTS, Described, ask_culture_questions
from cultureclip.benchmarks.protocols.globalrg_grounding import ask_grounding
from cultureclip.benchmarks.protocols.globalrg_retrieval import ask_retrieval
from cultureclip.benchmarks.protocols.items import (
    QuestionSet,
    Shown,
    Unposed,
    Variant,
    ask_both,
    part_of,
    picture_key,
)
from cultureclip.benchmarks.protocols.winoground import WinogroundBenchmark, WinogroundItem
from cultureclip.benchmarks.references import References, ReferencesByContent, read_references
from cultureclip.concepts.regions import region_name
from cultureclip.graphs import connect
from cultureclip.pictures.emoji import EMOJI, LICENCES

GROUNDING, RETRIEVAL, CROPE = "globalrg-grounding", "globalrg-retrieval", "crope"
TWIN_SCORES, CULTURE_QUESTIONS = "twin-scores", "culture-questions"
NO_PICTURE = "concept has no held-out picture"
NO_TEXT = "a field of evaluation.twin_text is empty, or both texts are the same"
DRAWN, OWN, OWN_LICENCE = "Twemoji drawings", "pictures of your own", "your own pictures: whatever you hold them under"


def _drawn_benchmark(name: str, title: str, question: str, *, of: str = "culture-bound concepts") -> Declaration:
    """Declare a benchmark of Twemoji drawings, which hold out pictures."""
    source, licence = f"{DRAWN} of {of}", LICENCES["twemoji"]
    return Declaration(name=name, title=title, question=question, source=source, licence=licence, holds_out="images")


DECLARATIONS = {
    declaration.name: declaration
    for declaration in (
        _drawn_benchmark(GROUNDING, "GlobalRG-Grounding", "Which of four things of this region is it?"),
        _drawn_benchmark(RETRIEVAL, "GlobalRG-Retrieval", "From which of four regions is this kind of thing?"),
        _drawn_benchmark(CROPE, "CROPE", "Is it the concept or its look-alike twin?", of="accepted twins"),
        _drawn_benchmark(
            TWIN_SCORES, "Twin scores", "Of two pictures and two texts, which belongs to which?", of="accepted twins"
        ),
        _drawn_benchmark(
            CULTURE_QUESTIONS, "Culture questions", "What is it called, what is it, and which scene does it belong to?"
        ),
        pocket_general.HELD_OUT,
        pocket_general.KNOWN,
    )
}


def culture_benchmarks(
    concepts: pd.DataFrame,
    twins: pd.DataFrame,
    pictures: References,
    listed: Collection[str] = tuple(DECLARATIONS),
    first: Variant = "as_published",
    twin_text: str = NAME_ALONE,
) -> list[Benchmark]:
    """Return the culture protocols, the twin scores and the culture questions on concepts with a held-out picture.

    Args:
        concepts: Table of concepts.
        twins: Table of twins. The accepted ones make CROPE and the twin scores; the ``indistinguishable`` ones are kept
            out of each other's options.
        pictures: Held-out pictures by concept id.
        listed: Names of the benchmarks to ask.
        first: The variant that is asked beside the fair one.
        twin_text: Template of the texts of the twin scores (:mod:`~.concept_texts`).
    """
    keys = {concept: picture_key(pixels) for concept, pixels in pictures.items()}
    images = ReferencesByContent({keys[concept]: pictures.named[concept] for concept in sorted(keys)}, pictures.edge)
    alike = _alike(twins, keys)
    rows = concepts.sort_values("concept_id").to_dict("records")
    shown = [
        Shown(
            concept_id=row["concept_id"],
            name=row["name"],
            universal=row["universal"],
            regions=tuple(sorted(region_name(code) for code in row["cultures"])),
            image=keys[row["concept_id"]],
            alike=frozenset(alike[row["concept_id"]]),
            category=row["category"],
            part=part_of(row["concept_id"]),
        )
        for row in rows
        if row["concept_id"] in keys
    ]
    facts = {row["concept_id"]: (row["context"], tuple(row["key_visual_features"])) for row in rows}
    described = [Described(item, *facts[item.concept_id]) for item in shown]
    missing = tuple(Unposed(row["name"], NO_PICTURE) for row in rows if row["concept_id"] not in keys)
    by_id = {row["concept_id"]: row for row in rows}
    pairs, unpaired = _twin_rows(twins, by_id, keys)
    drawn = {keys[row["concept_id"]] for row in rows if row["concept_id"] in keys and _is_drawn(row)}
    unshown = [Unposed(f"{metric}: {item.item}", item.reason) for item in missing for metric in STATEMENTS]
    ask: dict[str, Callable[[], tuple[QuestionSet, Sequence[Unposed]]]] = {
        GROUNDING: lambda: (ask_both(ask_grounding, shown, first=first), missing),
        RETRIEVAL: lambda: (ask_both(ask_retrieval, shown, first=first), missing),
        CROPE: lambda: (ask_both(ask_crope, pairs), unpaired),
        CULTURE_QUESTIONS: lambda: (ask_culture_questions(described), unshown),
    }
    made: list[Benchmark] = [_choice(name, images, *pose()) for name, pose in ask.items() if name in listed]
    if TWIN_SCORES in listed:
        texts = {concept: describe_concept(row, twin_text) for concept, row in by_id.items()}
        made.append(_twin_benchmark(pairs, images, unpaired, texts))
    return [_declare(benchmark, drawn) for benchmark in made]


def collect_pocket(
    concepts: pd.DataFrame,
    twins: pd.DataFrame,
    edge: int,
    listed: Collection[str] = tuple(DECLARATIONS),
    first: Variant = "as_published",
    twin_text: str = NAME_ALONE,
) -> list[Benchmark]:
    """Return the pocket benchmarks. One without a question that can be asked is empty and says why in its card.

    Args:
        concepts: Table of concepts.
        twins: Table of twins.
        edge: Edge of drawings in pixels.
        listed: Names of the benchmarks to ask.
        first: The variant that is asked beside the fair one.
        twin_text: Template of the texts of the twin scores (:mod:`~.concept_texts`).

    Raises:
        SourceDataError: if a reference image cannot be read.
    """
    made: list[Benchmark] = []
    if set(listed) & (DECLARATIONS.keys() - pocket_general.BENCHMARKS.keys()):
        made += culture_benchmarks(concepts, twins, read_references(concepts, edge), listed, first, twin_text)
    bound = EMOJI.find(concepts["reference_image"].dropna().tolist())
    made += [make(bound, edge) for name, make in pocket_general.BENCHMARKS.items() if name in listed]
    return made


def _is_drawn(row: Mapping[Hashable, Any]) -> bool:
    """Tell whether a concept's picture is an emoji drawing and not a user's file."""
    return bool(EMOJI.find([str(row["reference_image"])]))


def _declare(benchmark: Benchmark, drawn: set[str]) -> Benchmark:
    """Return the benchmark with a declaration of its pictures' kind: drawings, the user's own, or both."""
    own = len(benchmark.images.keys() - drawn)
    if not own:
        return benchmark
    declaration = benchmark.declaration
    of_what = declaration.source.removeprefix(DRAWN)
    if own == len(benchmark.images):
        return replace(benchmark, declaration=replace(declaration, source=OWN + of_what, licence=OWN_LICENCE))
    source = f"{len(benchmark.images) - own} {DRAWN} and {own} {OWN}{of_what}"
    licence = f"{declaration.licence}; {OWN_LICENCE}"
    return replace(benchmark, declaration=replace(declaration, source=source, licence=licence))


def _alike(twins: pd.DataFrame, keys: dict[str, str]) -> dict[str, set[str]]:
    """Map each concept to those drawn alike: recorded as indistinguishable, or with the same held-out pixels."""
    rejected = twins[(twins["verdict"] == "rejected") & (twins["reason"] == "indistinguishable")]
    pairs = list(zip(rejected["a_concept_id"], rejected["b_concept_id"], strict=True))
    same: dict[str, list[str]] = defaultdict(list)
    for concept, key in keys.items():
        same[key].append(concept)
    pairs += [(a, b) for group in same.values() for a in group for b in group if a < b]
    alike: dict[str, set[str]] = defaultdict(set)
    for a, b in pairs:
        alike[a].add(b)
        alike[b].add(a)
    return alike


def _twin_rows(
    twins: pd.DataFrame, rows: Mapping[str, Mapping[Hashable, Any]], keys: dict[str, str]
) -> tuple[list[tuple[ConceptPictures, ConceptPictures]], tuple[Unposed, ...]]:
    """Return the two sides of every accepted twin whose sides have different pictures, and the other accepted twins."""
    found, unposed = [], []
    accepted = twins[twins["verdict"] == "accepted"].sort_values("twin_id")
    for sides in zip(accepted["a_concept_id"], accepted["b_concept_id"], strict=True):
        label = " / ".join(rows[side]["name"] for side in sides)
        if any(side not in keys for side in sides):
            unposed.append(Unposed(label, NO_PICTURE))
        elif keys[sides[0]] == keys[sides[1]]:
            unposed.append(Unposed(label, "both held-out pictures are the same"))
        else:
            a, b = (_twin_side(rows[side], keys[side]) for side in sides)
            found.append((a, b))
    return found, tuple(unposed)


def _twin_side(row: Mapping[Hashable, Any], key: str) -> ConceptPictures:
    concept, cultures = row["concept_id"], row["cultures"]
    culture = region_name(cultures[0]) if len(cultures) == 1 else ""  # a question has one culture or none
    return ConceptPictures(
        concept_id=concept,
        name=row["name"],
        images=(key,),
        culture=culture,
        category=row["category"],
        part=part_of(concept),
    )


def _twin_benchmark(
    pairs: Sequence[tuple[ConceptPictures, ConceptPictures]],
    images: ReferencesByContent,
    unposed: Sequence[Unposed],
    texts: Mapping[str, str | None],
) -> WinogroundBenchmark:
    """Return the twin scores; a twin with one side that may guide choices is in ``dev``."""
    component_of = connect((a.concept_id, b.concept_id) for a, b in pairs)
    asked, silent = [], []
    for a, b in pairs:
        own, other = texts[a.concept_id], texts[b.concept_id]
        if own is None or other is None or own == other:
            silent.append(Unposed(f"{a.name} / {b.name}", NO_TEXT))
            continue
        asked.append(
            WinogroundItem(
                images=(a.images[0], b.images[0]),
                texts=(own, other),
                cluster=component_of[a.concept_id],
                part=min(a.part, b.part),
                category=a.category,
            )
        )
    pictures = images.only({key for twin in asked for key in twin.images})
    left_out = (*unposed, *silent)
    return WinogroundBenchmark(DECLARATIONS[TWIN_SCORES], pictures, unposed=left_out, twins=tuple(asked))


def _choice(name: str, images: ReferencesByContent, asked: QuestionSet, missing: Sequence[Unposed]) -> ChoiceBenchmark:
    pictures = images.only({question.image for question in asked.questions})
    unposed = (*asked.unposed, *missing)
    return ChoiceBenchmark(DECLARATIONS[name], pictures, asked.questions, unposed=unposed, changed=asked.changed)
