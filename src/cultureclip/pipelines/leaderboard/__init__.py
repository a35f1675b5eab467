"""Leaderboard: any number of result folders as one table."""

from cultureclip.pipelines.leaderboard.pipeline import create_pipeline

__all__ = ["create_pipeline"]
