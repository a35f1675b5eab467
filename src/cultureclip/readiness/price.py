"""What a stage takes and costs: items times what one item takes. Where a factor is not known, nor is the product."""

from dataclasses import dataclass

from cultureclip.readiness.plan import Work
from cultureclip.readiness.rates import Rate

_HOUR = 3600
_MILLION = 1e6


@dataclass(frozen=True)
class Cost:
    """What a stage takes; None is not known.

    Attributes:
        work: The stage's items.
        rate: What one takes.
        seconds: From start to end, on all of its devices.
        gpu_hours: Hours of GPUs, of all together; 0 where none is used.
        tokens: Tokens read and written; 0 where no chat model is asked.
        bytes: Bytes stored; None where the stage's are not known.
        price: In the currency of the stated prices.
    """

    work: Work
    rate: Rate
    seconds: float | None
    gpu_hours: float | None
    tokens: float | None
    bytes: float | None
    price: float | None


def cost_of(work: Work, rate: Rate, gpu_hour: float | None) -> Cost:
    """Multiply a stage's items by what one takes.

    Every device is taken to work at the rate of one, as ``docs/scale.md`` measures it. A price has two parts: hours of
    GPUs, at ``gpu_hour`` each, and tokens, at the prices of the stage's servers.

    Args:
        work: The stage's items and devices.
        rate: What one item takes.
        gpu_hour: Price of an hour of one GPU.
    """
    alone = _times(work.items, rate.seconds)
    hours = 0.0 if not work.uses_gpu else _times(alone, 1 / _HOUR)
    read, written = _times(work.items, rate.tokens_read), _times(work.items, rate.tokens_written)
    tokens = _plus(read, written) if work.asks_model else 0.0
    return Cost(
        work=work,
        rate=rate,
        seconds=_times(alone, 1 / work.devices),
        gpu_hours=hours,
        tokens=tokens,
        bytes=_times(work.items, rate.bytes),
        price=_plus(_price_of_hours(work, hours, gpu_hour), _price_of_tokens(work, read, written)),
    )


def _price_of_hours(work: Work, hours: float | None, gpu_hour: float | None) -> float | None:
    return 0.0 if not work.uses_gpu else _times(hours, gpu_hour)


def _price_of_tokens(work: Work, read: float | None, written: float | None) -> float | None:
    """Return the price of a stage's tokens: 0 for a model in this process, not known for servers without prices."""
    if not work.at_servers:
        return 0.0
    if work.prices is None:
        return None
    return _times(_plus(_times(read, work.prices[0]), _times(written, work.prices[1])), 1 / _MILLION)


def _times(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
