"""Nodes of the leaderboard."""

from cultureclip.pipelines.leaderboard.parameters import LeaderboardParameters


def merge_results(parameters: LeaderboardParameters) -> tuple[str, str, str]:
    """Return all results as one table, with the ranks that each model may have.

    Returns:
        The table in HTML, Markdown and LaTeX.
    """
    from cultureclip.report.exports import leaderboard
    from cultureclip.report.exports.leaderboard_ranks import rank_rows
    from cultureclip.report.markdown import to_markdown

    rows = leaderboard.merge_results(leaderboard.find_results(parameters.results))
    table = leaderboard.tabulate_rows(rows, parameters.metrics, rank_rows(rows, parameters.metrics))
    return leaderboard.to_html(table), to_markdown(table), leaderboard.to_latex(table)
