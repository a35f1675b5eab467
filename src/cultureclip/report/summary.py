"""What the scores say, in sentences that follow from the intervals and the corrected tests alone."""

from collections.abc import Sequence

from cultureclip.report.score_view import Difference, ScoreBlock, model_title

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
    compared = [("the base", [line.to_base for line in lines])]
    if any(line.to_plain for line in lines):
        compared.append((rival, [line.to_plain for line in lines]))
    clear = ", and ".join(_count(found, reference, "culture benchmark") for reference, found in compared)
    kept_by_holm = " and ".join(_count_corrected(found, reference) for reference, found in compared)
    sentences = [
        f"{title} is {clear}.",
        f"After Holm's correction for all benchmarks and metrics p stays below .05 on {kept_by_holm}.",
    ]
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
