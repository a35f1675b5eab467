"""The description that each protocol's file ends with, for the rest of the project."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cultureclip.benchmarks.protocols.benchmark import Benchmark, Declaration
from cultureclip.benchmarks.rows import IMAGE, Intake


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How rows become a benchmark of one kind, and how its figures are shown and exported.

    Attributes:
        question: The question, in a sentence.
        benchmark: The class of its benchmarks.
        build: Function that makes a benchmark from a declaration and rows.
        columns: Names of all columns that it reads.
        pictures: Columns whose cells are pictures.
        lists: Columns whose cells hold several values.
        metrics: Figures that a report shows first, in this order.
        exported: Metric -> CLIP_benchmark's name for it, if any.
        exported_mean: Metric -> CLIP_benchmark's name for its mean over categories, if any.
        names_concepts: Whether rows name a concept or class, which can be compared with a training row.
        has_published_variant: Whether the same items are asked both as published and fairly.
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
