"""What an item of a stage takes: as stated, as measured, or not known."""

from collections.abc import Iterable
from dataclasses import dataclass

from cultureclip.readiness.measured import Measured
from cultureclip.readiness.settings import StatedRate

UNKNOWN = "not known"


@dataclass(frozen=True)
class Rate:
    """What one item takes; None is not known.

    Attributes:
        seconds: Of one device.
        tokens_read: Tokens that a chat model reads.
        tokens_written: Tokens that it writes.
        bytes: Bytes that are stored.
        source: Where the seconds are from, in words.
    """

    seconds: float | None = None
    tokens_read: float | None = None
    tokens_written: float | None = None
    bytes: float | None = None
    source: str = UNKNOWN


def choose_rate(stage: str, key: str, stated: StatedRate | None, measured: Iterable[Measured]) -> Rate:
    """Choose what is known of a stage's items: what is stated goes before what was measured.

    Args:
        stage: Name of the stage.
        key: From :func:`cultureclip.readiness.measured.rate_key`: a measurement with another one says nothing.
        stated: What the user states.
        measured: Measurements, the best first.
    """
    found = [one for one in measured if one.stage == stage and one.key == key and one.items > 0]
    known = stated or StatedRate()
    values: dict[str, float | None] = {}
    for name in StatedRate.model_fields:
        each = (getattr(one, name) / one.items for one in found if getattr(one, name) is not None)
        values[name] = getattr(known, name) if getattr(known, name) is not None else next(each, None)
    if known.seconds is not None:
        source = "stated by preflight.rates"
    else:
        source = next((one.how for one in found if one.seconds is not None), UNKNOWN)
    return Rate(**values, source=source)
