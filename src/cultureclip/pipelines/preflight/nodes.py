"""Nodes of the preflight pipeline."""

import logging

from cultureclip.readiness.finding import FIX, Finding, Survey
from cultureclip.readiness.measured import Measured
from cultureclip.readiness.settings import PreflightSettings

logger = logging.getLogger(__name__)


def measure_items(survey: Survey, parameters: PreflightSettings) -> tuple[list[Measured], list[Finding]]:
    """Make a few items of each stage that can work here, and note what they took; none is kept.

    Returns:
        The measurements, and what went wrong.
    """
    from cultureclip.readiness.measure import measure_stages

    wrong = [finding.where for finding in survey.findings if finding.severity == FIX]

    def broken(stage: str) -> bool:
        return any(where.startswith((f"{stage}.", f"{stage}:")) for where in wrong)

    return measure_stages(survey, parameters.measure, broken)


def write_table(
    survey: Survey, measured: list[Measured], broken: list[Finding], parameters: PreflightSettings
) -> tuple[str, list[Finding]]:
    """Write and print the table.

    Returns:
        The table, and what is to fix.
    """
    from cultureclip.readiness.check import check
    from cultureclip.readiness.table import to_text

    readiness = check(survey, parameters, measured, broken)
    text = to_text(readiness)
    logger.info("\n%s", text)
    return text, readiness.to_fix


def require_readiness(to_fix: list[Finding]) -> None:
    """End the run with an error if there is something to fix.

    Raises:
        PreflightError: if there is.
    """
    from cultureclip.readiness.check import require_nothing

    require_nothing(to_fix)
