"""Nodes of the gate."""

import logging
from typing import Any

import pandas as pd

from cultureclip.errors import GateError
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.gate.parameters import GateParameters

logger = logging.getLogger(__name__)


def judge_checkpoint(
    predictions: pd.DataFrame, abilities: pd.DataFrame, evaluation_run: dict[str, Any], parameters: GateParameters
) -> pd.DataFrame:
    """Judge the checkpoint on every benchmark, and print the table.

    Returns:
        Table ``gate``.
    """
    from cultureclip.report.markdown import to_markdown
    from cultureclip.scoring.abilities import headline_model
    from cultureclip.scoring.gate import judge_checkpoint as judge
    from cultureclip.scoring.gate import tabulate_gate

    how = EvaluationParameters.model_validate(evaluation_run["settings"])
    headline, _ = headline_model(abilities, how.proposed_objective)
    table = judge(predictions, parameters, headline, how.plain_objective)
    logger.info("\n%s", to_markdown(tabulate_gate(table, parameters)))
    return table


def enforce_gate(gate: pd.DataFrame, parameters: GateParameters) -> None:
    """End the run with an error where a verdict is one of ``gate.fails_on``.

    Raises:
        GateError: if there is such a verdict.
    """
    from cultureclip.scoring.gate import failures

    if failed := failures(gate, parameters):
        cause = f"against a least difference of {100 * parameters.min_delta:+g} points: {'; '.join(failed)}"
        raise GateError(
            f"checkpoint {gate['model'].iloc[0]}", cause, "Do not publish it; the table says how sure this is"
        )
