"""Nodes of the variance decomposition."""

import logging

import pandas as pd

from cultureclip.pipelines.variance.parameters import VarianceParameters

logger = logging.getLogger(__name__)


def decompose_scores(parameters: VarianceParameters) -> tuple[pd.DataFrame, str]:
    """Decompose the scores of several draws of the data, and print the main ones.

    Returns:
        The table ``variance``, and its main rows in Markdown.
    """
    from cultureclip.report.markdown import to_markdown
    from cultureclip.scoring.draws import decompose_scores as decompose
    from cultureclip.scoring.draws import find_draws, tabulate_variance

    table = decompose(find_draws(parameters.runs))
    shown = to_markdown(tabulate_variance(table))
    logger.info("\n%s", shown)
    return table, shown
