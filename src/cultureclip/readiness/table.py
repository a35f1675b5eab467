"""The preflight's table, as text of at most 120 columns."""

import textwrap
from collections.abc import Callable, Iterator, Sequence

from cultureclip.models.named import NamedModel
from cultureclip.readiness.check import Readiness, how_to_measure
from cultureclip.readiness.machine import GB, weights_at_work
from cultureclip.readiness.price import Cost

WIDTH = 120
UNKNOWN, NONE = "not known", "-"
_SHOWN_SECONDS = 120
_DIGITS = 4


def to_text(readiness: Readiness) -> str:
    """Write everything: the plan, what it takes, models, machine, and what to fix."""
    parts = [
        [_title(readiness)],
        tabulate(_COST_HEAD, [*map(_cost_row, readiness.costs), _total_row(readiness.costs)], right=range(2, 9)),
        list(_rates(readiness)),
        [
            "Models (memory: of the weights only, activations come on top)",
            *tabulate(_MODEL_HEAD, [_model_row(models) for models in _alike(readiness.models)], right=(2,)),
        ],
        list(_machine(readiness)),
        list(_findings(readiness)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def tabulate(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] | range = ()) -> list[str]:
    """Write rows of text below their head, with the columns that ``right`` numbers aligned to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _title(readiness: Readiness) -> str:
    planned = readiness.planned
    number = UNKNOWN if planned.images is None else f"{'at most ' if planned.at_most else ''}{planned.images:,}"
    return f"Preflight of --env={readiness.env}\nImages: {number} ({planned.source})"


_COST_HEAD = ("stage", "on", "items", "s / item", "time", "GPU hours", "tokens", "disk", "price")


def _cost_row(cost: Cost) -> tuple[str, ...]:
    work = cost.work
    on = f"{work.devices} x {work.device}" if work.devices > 1 else work.device
    count = UNKNOWN if work.items is None else f"{'<= ' if work.at_most else ''}{work.items:,}"
    return (
        work.stage,
        on,
        f"{count} {work.unit}",
        _number(cost.rate.seconds),
        clock(cost.seconds),
        _number(cost.gpu_hours) if work.uses_gpu else NONE,
        _large(cost.tokens) if work.asks_model else NONE,
        _size(cost.bytes) if work.stage == "synthesis" else NONE,
        _number(cost.price) if work.uses_gpu or work.at_servers else NONE,
    )


def _total_row(costs: Sequence[Cost]) -> tuple[str, ...]:
    return (
        "all",
        "",
        "",
        "",
        _at_least([cost.seconds for cost in costs], clock),
        _at_least([cost.gpu_hours for cost in costs if cost.work.uses_gpu], _number),
        _at_least([cost.tokens for cost in costs if cost.work.asks_model], _large),
        _at_least([cost.bytes for cost in costs if cost.work.stage == "synthesis"], _size),
        _at_least([cost.price for cost in costs if cost.work.uses_gpu or cost.work.at_servers], _number),
    )


def _at_least(amounts: Sequence[float | None], write: Callable[[float | None], str]) -> str:
    """Write a sum; where a part is not known the sum is a lower bound, and without any known part not known."""
    known = [amount for amount in amounts if amount is not None]
    if not amounts:
        return NONE
    if not known:
        return UNKNOWN
    return write(sum(known)) if len(known) == len(amounts) else f"> {write(sum(known))}"


def _rates(readiness: Readiness) -> Iterator[str]:
    yield "Where s / item and prices are from"
    for cost in readiness.costs:
        work, source = cost.work, cost.rate.source
        if cost.rate.seconds is None:
            source = f"{UNKNOWN}. {how_to_measure(work.stage, asks_for_concepts=work.asks_model)}"
        yield from _wrap(f"  {cost.work.stage:<12}", source)
    if any(cost.work.uses_gpu for cost in readiness.costs):
        hour = readiness.settings.gpu_hour
        stated = f"{_number(hour)}, stated" if hour is not None else f"{UNKNOWN}. State preflight.gpu_hour"
        yield from _wrap("  a GPU hour  ", stated)


_MODEL_HEAD = ("model", "on", "memory", "revision", "licence", "named by")


def _alike(models: Sequence[NamedModel]) -> list[list[NamedModel]]:
    """Group the parameters that name one model in one number type on one device."""
    groups: dict[tuple[str, str, str, bool], list[NamedModel]] = {}
    for model in models:
        groups.setdefault((model.spec, model.device, model.dtype, model.problem is None), []).append(model)
    return list(groups.values())


def _model_row(models: Sequence[NamedModel]) -> tuple[str, ...]:
    model, others = models[0], len(models) - 1
    named = model.parameter + (f" +{others}" if others else "")
    name = _end_of(model.spec, 34)
    if model.problem is not None:
        return (name, model.device, UNKNOWN, UNKNOWN, "see below", _end_of(named, 34))
    origin = model.origin
    return (
        name,
        model.device,
        _size(weights_at_work(model)),
        _start_of((origin and origin.revision) or "not said", 12),
        _start_of((origin and origin.licence) or "not said", 18),
        _end_of(named, 34),
    )


def _machine(readiness: Readiness) -> Iterator[str]:
    yield "Machine"
    if not readiness.gpus:
        yield "  no GPU"
    for gpu in readiness.gpus:
        yield f"  {gpu.device}  {gpu.name}, {gpu.free / GB:.1f} of {gpu.total / GB:.1f} GB free"
    for disk in readiness.disks:
        planned = ", ".join(f"{_size(size)} for {name}" for name, size in disk.planned.items()) or UNKNOWN
        yield from _wrap("  disk  ", f"{_end_of(str(disk.place), 50)}: {_size(disk.free)} free; planned: {planned}")


def _findings(readiness: Readiness) -> Iterator[str]:
    fixes = readiness.to_fix
    yield f"{len(fixes)} to fix" if fixes else "Nothing to fix"
    alike: dict[tuple[str, str, str], list[str]] = {}
    for finding in readiness.findings:
        alike.setdefault((finding.severity, finding.what, finding.remedy), []).append(finding.where)
    for (severity, what, remedy), places in alike.items():
        yield from _wrap(f"  {severity:<4}  ", places[0])
        for place in places[1:]:
            yield from _wrap("        ", place)
        yield from _wrap("          ", what)
        yield from _wrap("          do: ", remedy)


def _wrap(first: str, text: str) -> list[str]:
    """Wrap a text below its first words; a path is never broken."""
    words, indent = " ".join(text.split()), " " * len(first)
    return textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def clock(seconds: float | None) -> str:
    """Write a time as people say it: seconds below two minutes, then minutes, hours, and days from four on."""
    if seconds is None:
        return UNKNOWN
    if seconds < _SHOWN_SECONDS:
        return f"{_number(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < _SHOWN_SECONDS:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{hours} h" if hours < 96 else f"{hours / 24:,.1f} d"


def _number(value: float | None) -> str:
    """Write four significant digits at most."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 10**_DIGITS else f"{value:,.{_DIGITS}g}"


def _large(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value / 1e6:,.4g} M" if value >= 1e6 else f"{value:,.0f}"


def _size(value: float | None) -> str:
    """Write bytes in kB, MB, GB or TB."""
    if value is None:
        return UNKNOWN
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:,.3g} {unit}"
    return f"{value / 1e3:,.3g} kB"


def _end_of(text: str, width: int) -> str:
    return text if len(text) <= width else f"…{text[-width + 1 :]}"


def _start_of(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
