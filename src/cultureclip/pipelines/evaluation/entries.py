"""Which benchmarks are asked: read from the config when pipelines are built, which is before ``--params`` is known."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.shape import read_config

POCKET = (
    "globalrg-grounding",
    "globalrg-retrieval",
    "crope",
    "twin-scores",
    "culture-questions",
    "general-retrieval",
    "general-known",
)
"""Benchmarks made from the tables of concepts and twins; every other benchmark is an entry of the catalog."""


def dataset_of(name: str) -> str:
    """Return the catalog's name of a benchmark."""
    return f"benchmark_{name}"


def read_benchmarks(stage: str = "evaluation") -> list[str]:
    """Return the names that ``<stage>.benchmarks`` of the session's config lists.

    Raises:
        ConfigurationError: if there are none, one is listed twice, or one is neither pocket's nor in the catalog.
    """
    conf, parameters = read_config("parameters")
    listed = (parameters.get(stage) or {}).get("benchmarks")
    remedy = f"Set it in conf/<environment>/parameters_{stage}.yml"
    if not listed or len(set(listed)) < len(listed):
        cause = "a benchmark is listed twice" if listed else f"not in {conf}"
        raise ConfigurationError(f"{stage}.benchmarks", cause, remedy)
    if set(listed) <= set(POCKET):
        return list(listed)
    _, catalog = read_config("catalog")
    entries = [key for key, entry in catalog.items() if str(entry.get("type")).endswith("BenchmarkDataset")]
    known = [*POCKET, *(key.removeprefix(dataset_of("")) for key in entries)]
    for name in listed:
        if name not in known:
            close = get_close_matches(str(name), known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}"
            raise ConfigurationError(f"{stage}.benchmarks: {name}", f"the catalog has no {dataset_of(name)}", hint)
    return list(listed)


def check_benchmarks(built: Sequence[str], listed: Sequence[str], stage: str = "evaluation") -> None:
    """Make sure that the pipeline was built for these parameters.

    Raises:
        ConfigurationError: if it was not; they were given by ``--params``.
    """
    if list(built) != list(listed):
        raise ConfigurationError(
            f"{stage}.benchmarks",
            f"the pipeline was built for {', '.join(built)}, which --params cannot change",
            f"Set it in conf/<environment>/parameters_{stage}.yml",
        )


def check_names(names: Mapping[str, str], general: Sequence[str]) -> None:
    """Make sure that every name stands for one benchmark, because scores and cards use the name as key.

    Args:
        names: Name in the list -> the benchmark's own.
        general: Names that the config gives as general ability.

    Raises:
        ConfigurationError: if a benchmark's own name differs, or a general one is neither listed nor pocket's.
    """
    for listed, own in names.items():
        if listed != own:
            raise ConfigurationError(
                f"catalog entry {dataset_of(listed)}", f"its name is {own!r}", f"Write name: {listed}, as in its key"
            )
    for name in general:
        if name not in names and name not in POCKET:
            close = get_close_matches(name, [*names, *POCKET], n=1)
            hint = f"Did you mean {close[0]}?" if close else "Take it out, or list it in evaluation.benchmarks"
            raise ConfigurationError(f"evaluation.general_benchmarks: {name}", "no such benchmark is listed", hint)
