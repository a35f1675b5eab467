"""Declaration of a protocol to the rest of the project, at the end of the protocol's file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.rows import IMAGE, Intake


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How rows become a benchmark of one kind, and how its figures are shown and exported.

    Attributes:
        question: What is asked, in a sentence.
        benchmark: The class of its benchmarks.
        build: Builds a benchmark from a declaration and the rows.
        columns: Names of all columns that it reads.
        pictures: Those whose cells are pictures.
        lists: Those whose cells hold several values.
        metrics: Figures that a report shows first, in this order.
        exported: Metric -> the name that CLIP_benchmark has for it, where it has one.
        exported_mean: Metric -> the name that CLIP_benchmark has for its mean over categories.
        names_concepts: Whether rows name a concept or class, which a training row can be compared with.
        has_published_variant: Whether the same items are asked as published and fairly.
    """

    question: str
    benchmark: type[Benchmark]
    build: Callable[[Declaration, Intake], Benchmark]
    columns: tuple[str, ...]
    pictures: tuple[str, ...] = (IMAGE,)
    lists: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    exported: Mapping[str, str] = field(default_factory=dict)
    exported_mean: Mapping[str, str] = field(default_factory=dict)
    names_concepts: bool = False
    has_published_variant: bool = False
