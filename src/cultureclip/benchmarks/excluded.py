"""Benchmarks without the questions about what people took out."""

from dataclasses import replace
from typing import TypeVar

from cultureclip.benchmarks.protocols.benchmark import Benchmark
from cultureclip.benchmarks.protocols.choice import ChoiceBenchmark
from cultureclip.benchmarks.protocols.items import Question, Unposed
from cultureclip.benchmarks.published import AbsentBenchmark
from cultureclip.concepts.countries import find_country
from cultureclip.concepts.exclusions import Exclusions
from cultureclip.concepts.keys import fold

EXCLUDED = "excluded"
"""Reason of an item that is left out."""

Entry = TypeVar("Entry", bound=Benchmark | AbsentBenchmark)


def without_excluded(benchmark: Entry, exclude: Exclusions) -> Entry:
    """Return a benchmark without the questions about excluded cultures, or whose options name an excluded concept.

    The card lists each with its reason. Only questions with options say which culture and names they are about.

    Args:
        benchmark: Any benchmark.
        exclude: The list; its concepts are compared by name, and by id where the question has one.
    """
    if not isinstance(benchmark, ChoiceBenchmark) or not (exclude.concepts or exclude.cultures):
        return benchmark
    names = {fold(name) for name in exclude.concepts}
    out = [question for question in benchmark.questions if _is_out(question, names, frozenset(exclude.cultures))]
    if not out:
        return benchmark
    kept = tuple(question for question in benchmark.questions if question not in out)
    left_out = (*benchmark.unposed, *(Unposed(question.item_id, EXCLUDED) for question in out))
    return replace(benchmark, questions=kept, unposed=left_out)


def _is_out(question: Question, names: set[str], cultures: frozenset[str]) -> bool:
    asked = {fold(name) for name in (question.concept, question.cluster, *question.names) if name}
    home = cultures and question.culture and not cultures.isdisjoint(find_country(question.culture).codes)
    return bool(home) or not names.isdisjoint(asked)
