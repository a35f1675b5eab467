"""The order of metrics, and the candidates that each counts."""

import re
from collections.abc import Iterable

from cultureclip.benchmarks.protocols.registry import all_protocols
from cultureclip.scoring.groups import AXES, macro_metric

_CUTOFF = re.compile(r"(?:@|top-)(\d+)$")


def order_metrics(metrics: Iterable[str]) -> list[str]:
    """Order metrics as they are shown: the protocols' own first; the very first is a benchmark's main one.

    Others follow in alphabetical order, macro averages right after their metric.
    """
    first = [*dict.fromkeys(metric for protocol in all_protocols().values() for metric in protocol.metrics)]
    present = set(metrics)
    macros = {macro_metric(metric, axis) for metric in present for axis in AXES}
    plain = sorted(present - macros, key=lambda m: (first.index(m) if m in first else len(first), m))
    return [name for m in plain for name in (m, *(macro_metric(m, axis) for axis in AXES)) if name in present]


def counts_first_place(metric: str) -> bool:
    """Tell whether a metric counts only the best candidate: R@1, top-1, accuracy, but not R@5."""
    cutoff = _CUTOFF.search(metric)
    return cutoff is None or int(cutoff[1]) == 1
