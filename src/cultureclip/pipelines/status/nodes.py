"""Nodes of the status pipeline."""

import logging

from cultureclip.engine.settings import EngineSettings

logger = logging.getLogger(__name__)


def describe_jobs(engine: EngineSettings) -> str:
    """Describe every job that has a journal in a line, and print the lines; jobs may be running meanwhile."""
    from cultureclip.engine.status import read_jobs

    lines = [job.line() for job in read_jobs(engine.journal)] if engine.journal else []
    text = "\n".join(lines) or f"No jobs in {engine.journal}"
    logger.info("%s", text)
    return text + "\n"
