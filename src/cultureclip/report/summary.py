"""What the scores say, in sentences that follow from the intervals and the corrected tests alone."""

from collections.abc import Sequence

from cultureclip.benchmarks.score_view import Difference, ScoreBlock, model_title

_SIGNIFICANT = 0.05


def summarise(culture: Sequence[ScoreBlock], general: Sequence[ScoreBlock], proposed: str, plain: str) -> list[str]:
    """Two sentences on culture, one on general ability; fewer where nothing was measured.

    Intervals are of one benchmark at a time, so the second sentence says how much a correction for all of them leaves.

    Args:
        culture: The first metric of every culture benchmark.
        general: The metrics of general ability.
        proposed: The model that the report is about.
        plain: The objective of plain contrastive tuning.
    """
    title, rival = model_title(proposed), model_title(plain).lower()
    lines = [line for block in culture if (line := block.of(proposed))]
    if not lines:
        return [f"{title} was not trained."] if culture else []
    sentences = [
        f"{title} is "
        + _count([line.to_base for line in lines], "the base", "culture benchmark")
        + (
            f", and {_count(against, rival, 'culture benchmark')}"
            if (against := [line.to_plain for line in lines if line.to_plain])
            else ""
        )
        + "."
    ]
    corrected = [_count_corrected([line.to_base for line in lines], "the base")]
    corrected += [_count_corrected(against, rival)] if against else []
    sentences.append(
        f"After Holm's correction for all benchmarks and metrics p stays below .05 on {' and '.join(corrected)}."
    )
    kept = [line.to_base for block in general if not block.is_macro and (line := block.of(proposed))]
    if kept:
        sentences.append(
            f"In general ability it is {_count(kept, 'the base', 'measure')}; where no difference is clear, the "
            "interval says how large a loss or a gain could still be."
        )
    return sentences


def _count_corrected(differences: Sequence[Difference | None], reference: str) -> str:
    found = [difference.p_holm < _SIGNIFICANT for difference in differences if difference]
    return f"{sum(found)} of {len(found)} against {reference}"


def _count(differences: Sequence[Difference | None], reference: str, noun: str) -> str:
    """Say on how many of the measures it is clearly above, and clearly below, a reference."""
    verdicts = [difference.verdict for difference in differences if difference]
    above, below, total = verdicts.count("above"), verdicts.count("below"), len(verdicts)
    of = f"{total} {noun}{'s' if total != 1 else ''}"
    if not above and not below:
        return f"not clearly above or below {reference} on any of {of}"
    parts = [f"clearly {way} {reference} on {n} of {of}" for way, n in (("above", above), ("below", below)) if n]
    return " and ".join(parts)
