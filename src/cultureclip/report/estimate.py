"""Estimate of the cost of a whole stage from its first items."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import stdev

SECONDS = "seconds"
_READ_AS_SECONDS = 120
_Z = 1.96
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True)
class Figure:
    """An amount: what the first items took, and what all would take.

    Attributes:
        name: Of what.
        unit: In what, if that is not plain.
        seen: Of the first items.
        whole: Of all items, at that rate.
        low: Lower end of the 95 % interval for ``whole``; None where one item says nothing of the others.
        high: Its upper end.
        digits: Decimals shown.
    """

    name: str
    unit: str
    seen: float
    whole: float
    low: float | None
    high: float | None
    digits: int = 0

    def times(self, rate: float, name: str, unit: str, digits: int = 0) -> "Figure":
        """Another amount that grows with this one."""
        low, high = (None if end is None else end * rate for end in (self.low, self.high))
        return Figure(name, unit, self.seen * rate, self.whole * rate, low, high, digits)

    def say(self) -> str:
        """The amount of all items, in words."""
        return self.clock() or f"{self.whole:,.{self.digits}f} {self.unit or self.name}"

    def clock(self) -> str | None:
        """Write two minutes or more in the units of a clock; None for anything else."""
        if self.unit != SECONDS or self.whole < _READ_AS_SECONDS:
            return None
        hours, minutes = divmod(round(self.whole / 60), 60)
        return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def project(name: str, amounts: Sequence[float], total: int, unit: str = "", digits: int = 0) -> Figure:
    """Tell the amount of all items from that of the first ones.

    Ids are digests, so the first items in their order are a sample without an order, drawn without replacement: the
    interval closes as the sample becomes the whole.

    Args:
        name: Of what.
        amounts: Of each of the first items, at least one.
        total: How many items there are in all.
        unit: In what the amounts are.
        digits: Decimals shown.
    """
    seen, number = sum(amounts), len(amounts)
    whole = seen / number * total
    if number == total:
        return Figure(name, unit, seen, whole, whole, whole, digits)
    if number == 1:
        return Figure(name, unit, seen, whole, None, None, digits)
    error = _Z * total * stdev(amounts) / sqrt(number) * sqrt(1 - number / total)
    return Figure(name, unit, seen, whole, max(whole - error, seen), whole + error, digits)
