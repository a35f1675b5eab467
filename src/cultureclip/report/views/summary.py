"""Scores in sentences that follow from the intervals and the corrected tests alone."""

from collections.abc import Sequence

from cultureclip.report.views.name_bias_view import LABELS, NameBlock
from cultureclip.report.views.score_view import Difference, ScoreBlock
from cultureclip.report.words import mid_sentence, model_title

FEW = 30
"""Independent questions, or twins, below which the overview warns."""
_SIGNIFICANT = 0.05


def summarise(culture: Sequence[ScoreBlock], general: Sequence[ScoreBlock], proposed: str, plain: str) -> list[str]:
    """Two sentences on culture, one on general ability; fewer where nothing was measured.

    Intervals are of one benchmark at a time, so the second sentence says how much a correction for all of them leaves.

    Args:
        culture: The first metric of every culture benchmark.
        general: The metrics of general ability.
        proposed: The model that the report is about.
        plain: The model that stands for plain contrastive tuning.
    """
    title, rival = model_title(proposed), mid_sentence(model_title(plain))
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


def warn_of_few(culture: Sequence[ScoreBlock], twins: int) -> list[str]:
    """Warn of a run that is too small to trust; say nothing where each benchmark has enough to ask.

    Args:
        culture: The first metric of every culture benchmark.
        twins: Twins in the training data.
    """
    few = [
        f"{block.title} ({block.n} in {_counted(block.clusters, 'cluster')})"
        for block in culture
        if block.clusters < FEW
    ]
    sentences = []
    if twins < FEW:
        sentences.append(
            f"The training data hold {_counted(twins, 'twin')}: read this run as a trial, not as a result."
        )
    if few:
        sentences.append(
            f"Few independent test questions: {', '.join(few)}. Below {FEW} the 95 % intervals are wide and themselves "
            "uncertain: that a difference is not clear says little, and one question more could change a score by "
            "several points."
        )
    return sentences


def say_name_bias(blocks: Sequence[NameBlock], proposed: str) -> str | None:
    """Say what becomes of questions of which the training had seen one name alone, on the benchmark with most of them.

    Args:
        blocks: Name bias of the base and of the proposed model, in this order.
        proposed: The model that the report is about.

    Returns:
        None where no benchmark asks enough questions of both kinds, or the model was not measured.
    """
    kinds = (LABELS["right only"], LABELS["wrong only"])
    told = []
    for block in blocks:
        lines = {line.label: line for line in block.lines}
        enough = [lines[kind] for kind in kinds if kind in lines and not lines[kind].is_small]
        found = [line for line in enough if len(line.figures) == 2]
        if len(found) == 2 and all(figure for line in found for figure in line.figures):
            told.append((min(line.n for line in found), block.title, found))
    if not told:
        return None
    _, title, (right, wrong) = max(told, key=lambda one: one[0])
    changes = [" to ".join(f"{100 * figure.value:.1f}" for figure in line.figures if figure) for line in (right, wrong)]
    return (
        f"{model_title(proposed)} against the base on {title}: from {changes[0]} % right where the training had seen "
        f"the right name alone (n {right.n}), from {changes[1]} % where it had seen only a wrong one (n {wrong.n})."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


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
